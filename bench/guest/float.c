// SSE2 and x87.

#include "basket.h"

#include <emmintrin.h>
#include <math.h>

#define COPY_LINES 256
static uint8_t source[COPY_LINES * 64] __attribute__((aligned(64))), target[COPY_LINES * 64] __attribute__((aligned(64)));

static NOINLINE void copy_lines(void)
{
    for (size_t n = 0; n < sizeof source; n += 64) {
        __m128i a = _mm_load_si128((const __m128i *)(source + n)), b = _mm_load_si128((const __m128i *)(source + n + 16));
        __m128i c = _mm_load_si128((const __m128i *)(source + n + 32)), d = _mm_load_si128((const __m128i *)(source + n + 48));
        _mm_store_si128((__m128i *)(target + n), a);
        _mm_store_si128((__m128i *)(target + n + 16), b);
        _mm_store_si128((__m128i *)(target + n + 32), c);
        _mm_store_si128((__m128i *)(target + n + 48), d);
    }
}

static uint64_t copy_sse(uint64_t count)
{
    uint64_t random = 7;
    for (size_t n = 0; n < sizeof source; n++) {
        source[n] = (uint8_t)next_random(&random);
    }

    for (uint64_t n = 0; n < count; n++) {
        source[n % sizeof source]++;
        copy_lines();
        KEEP(target);
    }

    return digest(target, sizeof target);
}

#define VECTOR 512
static double left[VECTOR] __attribute__((aligned(64))), right[VECTOR] __attribute__((aligned(64)));

static void fill_vectors(void)
{
    for (int n = 0; n < VECTOR; n++) {
        left[n] = 1.0 + n / 64.0;
        right[n] = 0.5 + n / 4096.0;
    }
}

static NOINLINE void packed_step(double factor)
{
    __m128d f = _mm_set1_pd(factor);
    for (int n = 0; n < VECTOR; n += 2) {
        __m128d value = _mm_add_pd(_mm_mul_pd(_mm_load_pd(left + n), f), _mm_load_pd(right + n));
        _mm_store_pd(left + n, value);
    }
}

static uint64_t packed(uint64_t count)
{
    fill_vectors();
    for (uint64_t n = 0; n < count; n++) {
        packed_step(0.75 + (double)(n & 7) / 64);
    }

    return digest(left, sizeof left);
}

__attribute__((optimize("no-tree-vectorize"))) static NOINLINE void scalar_step(double factor)
{
    for (int n = 0; n < VECTOR; n++) {
        left[n] = left[n] * factor + right[n];
    }
}

static uint64_t scalar(uint64_t count)
{
    fill_vectors();
    for (uint64_t n = 0; n < count; n++) {
        scalar_step(0.75 + (double)(n & 7) / 64);
    }

    return digest(left, sizeof left);
}

#define ORDER 64
static double a[ORDER][ORDER], b[ORDER][ORDER], c[ORDER][ORDER];

static uint64_t matrix(uint64_t count)
{
    for (int i = 0; i < ORDER; i++) {
        for (int j = 0; j < ORDER; j++) {
            a[i][j] = (double)(i * 3 + j) / 100;
            b[i][j] = (double)(i - j) / 7;
            c[i][j] = 0;
        }
    }

    for (uint64_t n = 0; n < count; n++) {
        for (int i = 0; i < ORDER; i++) {
            for (int k = 0; k < ORDER; k++) {
                double factor = a[i][k];
                for (int j = 0; j < ORDER; j++) {
                    c[i][j] += factor * b[k][j];
                }
            }
        }

        KEEP(c);
    }

    return digest(c, sizeof c);
}

static uint64_t extended(uint64_t count)
{
    long double x = 1.5L, sum = 0;
    for (uint64_t n = 0; n < count; n++) {
        x = x * 1.0625L + 0.5L;
        sum += x / 3.0L;
        if (x > 1000) {
            x -= 999;
        }
    }

    struct {
        long double sum, x;
    } result;
    memset(&result, 0, sizeof result);
    result.sum = sum;
    result.x = x;
    // Ten bytes of a long double's sixteen mean something.
    return mix(digest(&result.sum, 10), digest(&result.x, 10));
}

const struct member float_members[] = {
    { "sse-copy", "64-bytes", copy_sse, 100, 80000, COPY_LINES },
    { "sse-double", "pair", packed, 100, 150000, VECTOR / 2 },
    { "scalar-double", "fma", scalar, 100, 60000, VECTOR },
    { "matrix", "fma", matrix, 2, 400, ORDER *ORDER *ORDER },
    { "x87", "iteration", extended, 1000, 8000000, 1 },
    { 0 },
};
