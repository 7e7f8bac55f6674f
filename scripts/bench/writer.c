//go:build ignore

/* writer PATH SIZE {n COUNT | t MILLISECONDS} WRITERS
 *
 * Appends lines of SIZE bytes, one write(2) each: COUNT of them, or as many as fit into the time. Each of WRITERS
 * processes has a file of its own, PATH or PATH.0, PATH.1, ... Line i begins with i in decimal, so that what arrives
 * elsewhere can be checked. Prints for each writer: lines written, and nanoseconds from its first write to its last.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DIGITS 12   /* of the line number; fewer in shorter lines */
#define BETWEEN 64  /* writes between two looks at the clock */

struct result { long lines, ns; };

static long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void count_up(char *line, int digits)
{
	for (int i = digits - 1; i >= 0; i--) {
		if (line[i] != '9') {
			line[i]++;
			return;
		}
		line[i] = '0';
	}
}

static int work(const char *path, int size, long lines, long ns, int ready, int start, struct result *r)
{
	int digits = size - 1 < DIGITS ? size - 1 : DIGITS;
	char *line = malloc(size), go;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0 || !line) {
		perror(path);
		return 1;
	}
	memset(line, 'x', size);
	memset(line, '0', digits);
	line[size - 1] = '\n';
	if (write(ready, "", 1) != 1 || read(start, &go, 1) != 0) /* ends when the parent closes the pipe */
		return 1;

	long from = now(), n = 0;
	do {
		long stop = lines ? lines : n + BETWEEN;
		for (; n < stop; n++) {
			if (write(fd, line, size) != size) {
				perror("write");
				return 1;
			}
			count_up(line, digits);
		}
	} while (!lines && now() - from < ns);
	r->ns = now() - from;
	r->lines = n;
	if (close(fd)) {
		perror("close");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: writer PATH SIZE {n COUNT | t MILLISECONDS} WRITERS\n");
		return 2;
	}
	int size = atoi(argv[2]), writers = atoi(argv[5]), failed = 0, opened = 0, ready[2], start[2];
	long lines = *argv[3] == 'n' ? atol(argv[4]) : 0, ns = atol(argv[4]) * 1000000L;
	struct result *r = mmap(NULL, writers * sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (size < 2 || r == MAP_FAILED || pipe(ready) || pipe(start))
		return 2;
	for (int i = 0; i < writers; i++) {
		char path[4096];
		snprintf(path, sizeof path, writers > 1 ? "%s.%d" : "%s", argv[1], i);
		if (fork() == 0) {
			close(start[1]);
			_exit(work(path, size, lines, ns, ready[1], start[0], &r[i]));
		}
	}
	close(ready[1]); /* so that the loop ends also when a writer could not open its file */
	for (char c; read(ready[0], &c, 1) == 1;)
		if (++opened == writers)
			break;
	close(start[1]);
	for (int i = 0; i < writers; i++) {
		int status;
		wait(&status);
		failed |= status;
	}
	for (int i = 0; i < writers && !failed; i++)
		printf("%ld %ld\n", r[i].lines, r[i].ns);
	return failed != 0;
}
