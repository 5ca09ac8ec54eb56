// Integer work: arithmetic, branches, calls, memory.

#include "basket.h"

#define CRC_BYTES 65536
static uint32_t crc_table[256];
static uint8_t crc_input[CRC_BYTES];

static void make_crc_table(void)
{
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t value = n;
        for (int bit = 0; bit < 8; bit++) {
            value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
        }

        crc_table[n] = value;
    }
}

static NOINLINE uint32_t crc_step(uint32_t crc, const uint8_t *bytes, size_t size)
{
    for (size_t n = 0; n < size; n++) {
        crc = crc >> 8 ^ crc_table[(crc ^ bytes[n]) & 0xff];
    }

    return crc;
}

uint64_t digest(const void *bytes, size_t size)
{
    make_crc_table();
    return (uint64_t)size << 32 | crc_step(~0u, bytes, size);
}

static uint64_t crc(uint64_t count)
{
    make_crc_table();
    uint64_t random = 1;
    for (size_t n = 0; n < CRC_BYTES; n++) {
        crc_input[n] = (uint8_t)next_random(&random);
    }

    uint32_t sum = ~0u;
    for (uint64_t n = 0; n < count; n++) {
        sum = crc_step(sum, crc_input, CRC_BYTES);
    }

    return sum;
}

#define SIEVE_LIMIT 1000000
static uint8_t composite[SIEVE_LIMIT];

static uint64_t sieve(uint64_t count)
{
    uint64_t sum = 0;
    for (uint64_t round = 0; round < count; round++) {
        memset(composite, 0, sizeof composite);
        for (uint32_t n = 2; n * n < SIEVE_LIMIT; n++) {
            if (!composite[n]) {
                for (uint32_t multiple = n * n; multiple < SIEVE_LIMIT; multiple += n) {
                    composite[multiple] = 1;
                }
            }
        }

        for (uint32_t n = 2; n < SIEVE_LIMIT; n++) {
            sum += !composite[n];
        }
    }

    return sum;
}

#define SORT_ELEMENTS 100000
static int32_t elements[SORT_ELEMENTS];

static NOINLINE void quicksort(int32_t *low, int32_t *high)
{
    while (low < high) {
        int32_t pivot = low[(high - low) / 2];
        int32_t *left = low, *right = high;
        do {
            while (*left < pivot) {
                left++;
            }

            while (*right > pivot) {
                right--;
            }

            if (left <= right) {
                int32_t swap = *left;
                *left++ = *right;
                *right-- = swap;
            }
        } while (left <= right);

        quicksort(low, right);
        low = left;
    }
}

static uint64_t sort_numbers(uint64_t count)
{
    uint64_t sum = 0, random = 2;
    for (uint64_t round = 0; round < count; round++) {
        for (size_t n = 0; n < SORT_ELEMENTS; n++) {
            elements[n] = (int32_t)next_random(&random);
        }

        quicksort(elements, elements + SORT_ELEMENTS - 1);
        for (size_t n = 0; n < SORT_ELEMENTS; n += 1000) {
            sum = mix(sum, (uint32_t)elements[n]);
        }
    }

    return sum;
}

// Optimized further, two levels of this become one call.
__attribute__((optimize("O1"))) static NOINLINE uint64_t fibonacci(uint64_t n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

// fibonacci(27) is 832,039 calls.
static uint64_t recursion(uint64_t count)
{
    uint64_t sum = 0;
    for (uint64_t n = 0; n < count; n++) {
        sum += fibonacci(27);
    }

    return sum;
}

#define FUNCTION(number, expression) \
    static NOINLINE uint64_t function_##number(uint64_t x) \
    { \
        return expression; \
    }
FUNCTION(0, x + 1)
FUNCTION(1, x ^ 0x55)
FUNCTION(2, x * 3)
FUNCTION(3, x >> 1)
FUNCTION(4, x - 7)
FUNCTION(5, ~x)
FUNCTION(6, x << 1)
FUNCTION(7, x + (x >> 3))

static uint64_t (*volatile functions[64])(uint64_t);

static uint64_t indirect(uint64_t count)
{
    static uint64_t (*const all[8])(uint64_t) = { function_0, function_1, function_2, function_3, function_4, function_5, function_6, function_7 };
    uint64_t random = 3;
    for (int n = 0; n < 64; n++) {
        functions[n] = all[next_random(&random) >> 20 & 7];
    }

    uint64_t x = 1;
    for (uint64_t n = 0; n < count; n++) {
        for (int call = 0; call < 64; call++) {
            x = functions[call](x);
        }
    }

    return x;
}

enum { OP_ADD, OP_XOR, OP_SHIFT, OP_LOAD, OP_STORE, OP_MULTIPLY, OP_SWAP, OP_LOOP };

static uint64_t threaded(uint64_t count)
{
    static const uint8_t program[16] = { OP_ADD,   OP_LOAD, OP_XOR,  OP_STORE, OP_SHIFT, OP_ADD, OP_SWAP, OP_MULTIPLY,
                                         OP_STORE, OP_LOAD, OP_SWAP, OP_XOR,   OP_ADD,   OP_SHIFT, OP_LOAD, OP_LOOP };
    static void *const labels[] = { &&add, &&exclusive, &&shift, &&load, &&store, &&multiply, &&swap, &&loop };
    uint64_t a = 1, b = 2, left = count;
    uint64_t memory[16] = { 0 };
    const uint8_t *next = program;
#define DISPATCH goto *labels[*next++]
    DISPATCH;
add:
    a += b;
    DISPATCH;
exclusive:
    b ^= a;
    DISPATCH;
shift:
    a = a << 5 | a >> 59;
    DISPATCH;
load:
    b += memory[a & 15];
    DISPATCH;
store:
    memory[b & 15] = a;
    DISPATCH;
multiply:
    a *= 0x2545f4914f6cdd1du;
    DISPATCH;
swap: {
    uint64_t old = a;
    a = b;
    b = old;
}
    DISPATCH;
loop:
    if (--left) {
        next = program;
        DISPATCH;
    }

    return mix(a, b);
}

static uint64_t branches(uint64_t count)
{
    uint64_t random = 4, taken = 0, sum = 0;
    for (uint64_t n = 0; n < count; n++) {
        // The empty statements keep these branches from becoming conditional moves.
        if (next_random(&random) >> 33 & 1) {
            __asm__ volatile("" : "+r"(taken));
            taken++;
        } else {
            __asm__ volatile("" : "+r"(sum));
            sum += n;
        }
    }

    return mix(sum, taken);
}

#define CHASE_NODES 65536
struct node {
    struct node *next;
    uint64_t value;
    uint64_t room[6];
};

static struct node nodes[CHASE_NODES];

static uint64_t chase(uint64_t count)
{
    static uint32_t order[CHASE_NODES];
    uint64_t random = 5;
    for (uint32_t n = 0; n < CHASE_NODES; n++) {
        order[n] = n;
    }

    for (uint32_t n = CHASE_NODES - 1; n > 0; n--) {
        uint32_t other = (uint32_t)(next_random(&random) % (n + 1)), swap = order[n];
        order[n] = order[other];
        order[other] = swap;
    }

    for (uint32_t n = 0; n < CHASE_NODES; n++) {
        nodes[order[n]].next = &nodes[order[(n + 1) % CHASE_NODES]];
        nodes[order[n]].value = n;
    }

    const struct node *at = &nodes[order[0]];
    uint64_t sum = 0;
    for (uint64_t n = 0; n < count; n++) {
        for (int hop = 0; hop < 1000; hop++) {
            at = at->next;
        }

        sum = mix(sum, at->value);
    }

    return sum;
}

#define COPY_BYTES 262144
static uint8_t copy_source[COPY_BYTES] __attribute__((aligned(64))), copy_target[COPY_BYTES] __attribute__((aligned(64)));

static void fill_source(void)
{
    uint64_t random = 6;
    for (size_t n = 0; n < COPY_BYTES; n++) {
        copy_source[n] = (uint8_t)next_random(&random);
    }
}

static uint64_t copy_library(uint64_t count)
{
    fill_source();
    for (uint64_t n = 0; n < count; n++) {
        memcpy(copy_target, copy_source, COPY_BYTES);
        KEEP(copy_target);
        copy_source[n % COPY_BYTES]++;
    }

    return digest(copy_target, COPY_BYTES);
}

static uint64_t copy_string(uint64_t count)
{
    fill_source();
    for (uint64_t n = 0; n < count; n++) {
        const uint8_t *source = copy_source + n % 128 * 1024;
        uint8_t *target = copy_target + n % 64 * 1024;
        uint64_t size = 1024;
        __asm__ volatile("rep movsb" : "+S"(source), "+D"(target), "+c"(size) : : "memory");
    }

    return digest(copy_target, COPY_BYTES);
}

uint64_t compute_load(uint64_t count)
{
    uint64_t sum = 0;
    for (uint64_t n = 0; n < count; n++) {
        sum = mix(sum, crc(20));
        sum = mix(sum, sort_numbers(1));
        sum = mix(sum, threaded(50000));
        sum = mix(sum, branches(500000));
    }

    return sum;
}

const struct member compute_members[] = {
    { "crc32", "byte", crc, 16, 500, CRC_BYTES },
    { "sieve", "number", sieve, 1, 50, SIEVE_LIMIT },
    { "quicksort", "element", sort_numbers, 1, 12, SORT_ELEMENTS },
    { "recursion", "call", recursion, 1, 50, 832039 },
    { "indirect", "call", indirect, 1000, 400000, 64 },
    { "threaded", "16-ops", threaded, 1000, 4000000, 1 },
    { "branches", "iteration", branches, 10000, 20000000, 1 },
    { "chase", "hop", chase, 100, 3000, 1000 },
    { "memcpy", "KiB", copy_library, 10, 6000, COPY_BYTES / 1024 },
    { "movsb", "KiB", copy_string, 200, 60000, 1 },
    { 0 },
};
