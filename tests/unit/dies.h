// SPDX-License-Identifier: Apache-2.0
/*
 * dies - a must() is tested in a child process. Include cmocka's headers first.
 */
#ifndef TESTS_UNIT_DIES_H
#define TESTS_UNIT_DIES_H

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* The statement ends the process by abort(). */
#define assert_dies(statement)                                          \
	do {                                                            \
		int status_ = 0;                                        \
		pid_t child_ = fork();                                  \
                                                                        \
		if (child_ == 0) {                                      \
			close(STDERR_FILENO);                           \
			signal(SIGABRT, SIG_DFL);                       \
			statement;                                      \
			_exit(0);                                       \
		}                                                       \
		assert_int_equal(waitpid(child_, &status_, 0), child_); \
		assert_true(WIFSIGNALED(status_));                      \
		assert_int_equal(WTERMSIG(status_), SIGABRT);           \
	} while (0)

#endif
