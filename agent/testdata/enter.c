// enter ROOT PROGRAM ARGUMENT… runs a program in a root of its own, as a container runtime does: in a mount namespace, where
// that root is all there is.
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
	if (argc < 3) {
		fprintf(stderr, "enter: want ROOT PROGRAM ARGUMENT...\n");
		return 2;
	}
	const char *root = argv[1];
	// The old root is put on top of the new one, and taken off.
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount(root, root, NULL, MS_BIND, NULL) || chdir(root) ||
	    syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/")) {
		perror("enter: changing the root");
		return 1;
	}
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}
