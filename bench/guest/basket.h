// The basket: fixed pieces of work that are timed natively and in a guest, by the same program.
#ifndef BASKET_H
#define BASKET_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Kept out of line, so that what a member measures is what is written here.
#define NOINLINE __attribute__((noinline, noclone))

// Reads what a member leaves in memory, so that no compiler leaves the work out.
#define KEEP(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

// Does the work that many times, and gives a number that depends on all of it.
typedef uint64_t (*work)(uint64_t count);

struct member {
    const char *name;
    const char *unit;
    work run;
    uint64_t warm;   // count of the untimed round before
    uint64_t count;  // count of the timed round
    uint64_t units;  // units in a count
};

extern const struct member compute_members[];
extern const struct member float_members[];
extern const struct member system_members[];
extern const struct member command_members[];

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static inline uint64_t mix(uint64_t sum, uint64_t value)
{
    sum ^= value;
    return sum * 0x9e3779b97f4a7c15u ^ sum >> 29;
}

// Ends the process with what failed.
void fail(const char *what) __attribute__((noreturn));

// A number that depends on every byte.
uint64_t digest(const void *bytes, size_t size);

// Computes for a while without the kernel's help; what the parallel measurement runs in each process.
uint64_t compute_load(uint64_t count);

#endif
