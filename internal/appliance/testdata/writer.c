/* Writes numbered lines, one write(2) each, until SIGTERM: writer ID FILE append|plain MICROSECONDS LINES-PER-OPEN
 * LINES-PER-OPEN is 0 for one open for all. Says in /var/tmp/ID.result what became of it, and has in /var/tmp/ID.last
 * the last line that was written, should the machine crash. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop;
static void on_term(int s) { (void)s; stop = 1; }

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
	if (argc != 6) return 2;
	const char *id = argv[1], *file = argv[2];
	int flags = O_WRONLY | O_CREAT | (strcmp(argv[3], "append") ? 0 : O_APPEND);
	long pause = atol(argv[4]), most = atol(argv[5]), n = 0, failed = 0;
	double longest = 0;
	char first[200] = "", line[400], pad[101], name[200];
	int fd = -1;
	memset(pad, 'x', sizeof pad);
	struct sigaction act = {.sa_handler = on_term, .sa_flags = SA_RESTART};
	sigaction(SIGTERM, &act, NULL);
	snprintf(name, sizeof name, "/var/tmp/%s.last", id);
	int last = open(name, O_WRONLY | O_CREAT | O_APPEND, 0644);
	while (!stop) {
		double begin = now();
		const char *what = "open";
		int len = snprintf(line, sizeof line, "%s %ld %.*s\n", id, n + 1, (int)(n * 7 % 100), pad);
		int bad = 0;
		if (fd < 0) bad = (fd = open(file, flags, 0644)) < 0;
		if (!bad) what = "write", bad = write(fd, line, len) != len;
		if (!bad) n++;
		if (!bad && dprintf(last, "%ld\n", n) < 0) return 1;
		if (!bad && most > 0 && n % most == 0) what = "close", bad = close(fd) != 0, fd = -1;
		if (bad && !failed++) snprintf(first, sizeof first, "%s line %ld: %s", what, n, strerror(errno));
		double took = now() - begin;
		if (took > longest) longest = took;
		if (pause > 0 || bad) usleep(bad ? 1000 : pause);
	}
	snprintf(name, sizeof name, "/var/tmp/%s.result", id);
	FILE *out = fopen(name, "w");
	fprintf(out, "%ld %ld %.0f %s\n", n, failed, longest, first);
	return fclose(out) != 0;
}
