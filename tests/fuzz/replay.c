// SPDX-License-Identifier: Apache-2.0
/*
 * replay - runs a fuzz target over the files of a folder, in the order of names.
 *
 *	replay FOLDER		every file passes; a crash is a crash of this process
 *	replay --caught FOLDER	some file makes the target die (in a child process):
 *				the proof that a planted bug would be seen
 *
 * Speaks TAP. Each input lies in a block of exactly its size, so that the address
 * sanitizer sees the first byte past it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

static void replay_file(const char *folder, const char *name)
{
	char path[4096];
	uint8_t *data;
	long size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "rb");
	if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) {
		perror(path);
		exit(2);
	}
	rewind(file);
	data = malloc((size_t)size ? (size_t)size : 1);
	if (!data || fread(data, 1, (size_t)size, file) != (size_t)size)
		exit(2);
	fclose(file);
	FUZZ_TARGET(data, (size_t)size);
	free(data);
}

/* Does the target die of this file? */
static bool replay_dies(const char *folder, const char *name)
{
	int status, quiet;
	pid_t child = fork();

	if (child == 0) {
		quiet = open("/dev/null", O_WRONLY);
		dup2(quiet, STDERR_FILENO);
		replay_file(folder, name);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		exit(2);
	return status != 0;
}

int main(int argc, char **argv)
{
	bool caught_wanted = argc == 3 && strcmp(argv[1], "--caught") == 0;
	const char *folder = argv[argc - 1];
	struct dirent **files;
	int caught = 0, replayed = 0;
	int count = argc < 2 ? -1 : scandir(folder, &files, NULL, alphasort);

	if (count < 0) {
		fprintf(stderr, "usage: replay [--caught] FOLDER\n");
		return 2;
	}
	for (int i = 0; i < count; i++) {
		if (files[i]->d_name[0] != '.') {
			replayed++;
			if (caught_wanted)
				caught += replay_dies(folder, files[i]->d_name);
			else
				replay_file(folder, files[i]->d_name);
		}
		free(files[i]);
	}
	free(files);
	printf("1..1\n");
	if (caught_wanted)
		printf("%sok 1 - planted_bug_is_caught_by_%d_of_%d_inputs\n", caught ? "" : "not ",
		       caught, replayed);
	else
		printf("%sok 1 - corpus_replays_%d_inputs\n", replayed ? "" : "not ", replayed);
	return caught_wanted ? !caught : !replayed;
}
