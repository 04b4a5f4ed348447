# SPDX-License-Identifier: Apache-2.0
# bash completion for mayactl: what there is, it is asked (`mayactl ... --help`, and the node for names).

_mayactl_names() { # NOUN GLOBAL-OPTION...: what the node has of it
	local noun=$1
	shift
	mayactl "$@" --timeout 2 "$noun" list 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_mayactl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local i word words=() globals=() operands=0 help operand

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--node | --ca | --cert | --key)
			# readline takes HOST:PORT apart
			globals+=("$word" "${COMP_WORDS[i + 1]}")
			i=$((i + 1))
			while [[ ${COMP_WORDS[i + 1]} == : ]]; do
				globals[-1]+=:${COMP_WORDS[i + 2]}
				i=$((i + 2))
			done
			;;
		-o | --output | --timeout) i=$((i + 1)) ;;
		--*=*) ;;
		-*)
			[[ ${#words[@]} -ge 2 ]] && mayactl "${words[0]}" "${words[1]}" --help 2>/dev/null |
				grep -q -- "^  $word [^ ]" && i=$((i + 1))
			;;
		*)
			if [[ ${#words[@]} -lt 2 ]]; then words+=("$word"); else operands=$((operands + 1)); fi
			;;
		esac
	done

	case $prev in
	--ca | --cert | --key)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-o | --output)
		mapfile -t COMPREPLY < <(compgen -W "table wide json" -- "$cur")
		return
		;;
	--pool)
		mapfile -t COMPREPLY < <(compgen -W "$(_mayactl_names pool "${globals[@]}")" -- "$cur")
		return
		;;
	esac

	if [[ $cur == -* ]]; then
		if [[ ${#words[@]} -eq 2 ]]; then help=$(mayactl "${words[@]}" --help 2>/dev/null); else help=$(mayactl --help); fi
		mapfile -t COMPREPLY < <(compgen -W "$(sed -n '/ptions:/,/^$/p' <<<"$help" | grep -o -- '--[a-z][a-z-]*' | sort -u) -o --help" -- "$cur")
		return
	fi
	case ${#words[@]} in
	0)
		mapfile -t COMPREPLY < <(compgen -W "$(mayactl --help | sed -n 's/^  \([a-z]*\) .*, .*\|^  \([a-z]*\)  *[a-z-]*$/\1\2/p')" -- "$cur")
		;;
	1)
		mapfile -t COMPREPLY < <(compgen -W "$(mayactl "${words[0]}" --help 2>/dev/null | sed -n 's/^  \([a-z-]*\) .*/\1/p')" -- "$cur")
		;;
	*)
		operand=$(mayactl "${words[@]}" --help 2>/dev/null | head -n 1 | awk -v n="$operands" '{ gsub(/[][.]/, ""); print $(5 + n) }')
		[[ $operand == NAME && ${words[1]} != @(create|import|clone) ]] && operand=${words[0]^^}
		case $operand in
		POOL | REPLICA | NEXUS | SNAPSHOT | BDEV)
			mapfile -t COMPREPLY < <(compgen -W "$(_mayactl_names "${operand,,}" "${globals[@]}")" -- "$cur")
			;;
		*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
		esac
		;;
	esac
}

complete -o filenames -o bashdefault -F _mayactl mayactl
