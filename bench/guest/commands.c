// BusyBox at work. It is /bin/busybox, or what the variable BUSYBOX names.

#define _GNU_SOURCE
#include "basket.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char input_name[] = "basket.in", output_name[] = "basket.out";

// Words in lines, as text has them: the same bytes everywhere.
static void write_text(uint64_t lines)
{
    static const char *const words[] = { "the", "machine", "page", "block", "of", "translates", "memory", "and", "code", "a", "guest", "register", "to", "flag" };
    FILE *file = fopen(input_name, "w");
    if (!file) {
        fail(input_name);
    }

    uint64_t random = 8;
    for (uint64_t n = 0; n < lines; n++) {
        uint64_t number = next_random(&random);
        fprintf(file, "%06llu", (unsigned long long)(number % 1000000));
        for (int word = 0; word < 8; word++) {
            fprintf(file, " %s", words[(next_random(&random) >> 24) % (sizeof words / sizeof *words)]);
        }

        fputc('\n', file);
    }

    if (fclose(file) != 0) {
        fail(input_name);
    }
}

// Runs a command from the one file into the other.
static void run(char *const arguments[])
{
    pid_t child = fork();
    if (child < 0) {
        fail("fork");
    }

    if (child == 0) {
        int input = open(input_name, O_RDONLY), output = open(output_name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
        if (input < 0 || output < 0 || dup2(input, 0) < 0 || dup2(output, 1) < 0) {
            _exit(126);
        }

        const char *program = getenv("BUSYBOX");
        execv(program ? program : "/bin/busybox", arguments);
        _exit(127);
    }

    int status;
    if (waitpid(child, &status, 0) != child || status != 0) {
        fail(arguments[1]);
    }
}

static uint64_t output_digest(size_t skip)
{
    static uint8_t bytes[8 << 20];
    int file = open(output_name, O_RDONLY);
    if (file < 0) {
        fail(output_name);
    }

    size_t size = 0;
    for (ssize_t count; size < sizeof bytes && (count = read(file, bytes + size, sizeof bytes - size)) > 0;) {
        size += (size_t)count;
    }

    close(file);
    unlink(input_name);
    unlink(output_name);
    if (size < skip) {
        fail("an output too short");
    }

    return digest(bytes + skip, size - skip);
}

static uint64_t shell_loop(uint64_t count)
{
    char script[256];
    snprintf(script, sizeof script, "i=0; s=0; while [ $i -lt %llu ]; do i=$((i+1)); case $i in *7) s=$((s+i)) ;; esac; done; echo $i $s", (unsigned long long)count);
    write_text(1);
    run((char *[]){ "busybox", "sh", "-c", script, NULL });
    return output_digest(0);
}

// In front there may be a time.
#define GZIP_HEADER 10

static uint64_t gzip_file(uint64_t count)
{
    write_text(count);
    run((char *[]){ "busybox", "gzip", "-c", NULL });
    return output_digest(GZIP_HEADER);
}

static uint64_t sort_file(uint64_t count)
{
    write_text(count);
    run((char *[]){ "busybox", "sort", NULL });
    return output_digest(0);
}

const struct member command_members[] = {
    { "shell", "iteration", shell_loop, 100, 100000, 1 },
    { "gzip", "line", gzip_file, 100, 20000, 1 },
    { "sort", "line", sort_file, 100, 40000, 1 },
    { 0 },
};
