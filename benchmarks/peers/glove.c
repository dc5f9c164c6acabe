/* GloVe in C, to measure against where Stanford's program is not at hand.

   A RE-IMPLEMENTATION, written for this repository from the published description (Pennington et al. 2014, and the manual
   of the program, version 1.2): float64 throughout; a hash table of words; counts of frequent pairs in a dense table whose
   rows shrink with the rank of the word, rare pairs in a buffer that is sorted with qsort; a file of shuffled records
   (int, int, double); threads that each read their stretch of that file and update all parameters without locks.

       gcc -O3 -march=native -pthread glove.c -o glove -lm
       glove count VOCAB WINDOW < corpus > counts         VOCAB: a word a line, the commonest first
       glove shuffle SEED < counts > shuffled
       glove train SHUFFLED WORDS SIZE THREADS EPOCHS SEED > vectors      float64: both sides' rows of SIZE + 1 numbers

   `train` prints to stderr, for each epoch, its seconds and half of J by the number of records. */

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { int row, column; double value; } Record;
typedef struct Word { char *text; long rank; struct Word *next; } Word;

enum { BUCKETS = 1 << 20, LONGEST = 1000, MAX_PRODUCT = 13000000, OVERFLOW_ROOM = 38000000 };

static Word *table[BUCKETS];

static unsigned bucket(const char *s) {
    unsigned h = 1159241;
    for (; *s; s++) h ^= (h << 5) + *s + (h >> 2);
    return (h & 0x7fffffff) % BUCKETS;
}

static long find(const char *s) {
    for (Word *w = table[bucket(s)]; w; w = w->next)
        if (!strcmp(w->text, s)) return w->rank;
    return 0;
}

static int by_place(const void *a, const void *b) {
    const Record *x = a, *y = b;
    return x->row != y->row ? (x->row > y->row) - (x->row < y->row)
                            : (x->column > y->column) - (x->column < y->column);
}

static void *room(size_t bytes) {
    void *p = calloc(bytes, 1);
    if (!p) { fprintf(stderr, "no memory\n"); exit(1); }
    return p;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static int count(const char *vocabulary, int window) {
    char word[LONGEST + 1];
    long size = 0, n = 0, j = 0;
    FILE *f = fopen(vocabulary, "r");
    if (!f) return 1;
    while (fscanf(f, "%1000s", word) == 1) {
        Word *w = room(sizeof *w);
        w->text = strdup(word), w->rank = ++size;
        Word **place = &table[bucket(word)];
        while (*place) place = &(*place)->next;
        *place = w;
    }
    fclose(f);
    long *start = room((size + 2) * sizeof *start);
    for (long a = 1; a <= size; a++) start[a + 1] = start[a] + (MAX_PRODUCT / a < size ? MAX_PRODUCT / a : size);
    double *dense = room((start[size + 1] + 1) * sizeof *dense);
    Record *rare = room(OVERFLOW_ROOM * sizeof *rare);
    long *recent = room(window * sizeof *recent);
    for (int c = 0;;) {
        int length = 0;
        while ((c = getchar()) != EOF && c != ' ' && c != '\n' && c != '\t')
            if (length < LONGEST) word[length++] = c;
        word[length] = 0;
        long w = length ? find(word) : 0;
        if (w) {
            for (long k = j - 1; k >= 0 && k >= j - window; k--) {
                long v = recent[k % window];
                double weight = 1.0 / (j - k);
                if (v < MAX_PRODUCT / w) {
                    dense[start[v] + w - 1] += weight;
                    dense[start[w] + v - 1] += weight;
                } else {
                    if (n + 2 > OVERFLOW_ROOM) { fprintf(stderr, "too many rare pairs\n"); return 1; }
                    rare[n++] = (Record){v, w, weight};
                    rare[n++] = (Record){w, v, weight};
                }
            }
            recent[j++ % window] = w;
        }
        if (c == '\n') j = 0;
        if (c == EOF) break;
    }
    qsort(rare, n, sizeof *rare, by_place);
    for (long a = 1; a <= size; a++)
        for (long b = 0; b < start[a + 1] - start[a]; b++)
            if (dense[start[a] + b] != 0) {
                Record r = {a, b + 1, dense[start[a] + b]};
                fwrite(&r, sizeof r, 1, stdout);
            }
    for (long k = 0; k < n;) {
        Record r = rare[k];
        while (++k < n && rare[k].row == r.row && rare[k].column == r.column) r.value += rare[k].value;
        fwrite(&r, sizeof r, 1, stdout);
    }
    return 0;
}

static int shuffle(unsigned seed) {
    size_t n = 0, most = 1 << 20;
    Record *r = room(most * sizeof *r);
    size_t got;
    while ((got = fread(r + n, sizeof *r, most - n, stdin)) > 0)
        if ((n += got) == most) r = realloc(r, (most *= 2) * sizeof *r);
    srand48(seed);
    for (size_t k = n; k-- > 1;) {
        size_t j = (size_t)(drand48() * (k + 1));
        Record kept = r[j];
        r[j] = r[k], r[k] = kept;
    }
    fwrite(r, sizeof *r, n, stdout);
    return 0;
}

static const char *shuffled;
static double *W, *squares, cost[64];
static long records, words, size;
static int threads;

static void *learn(void *number) {
    const double eta = 0.05, alpha = 0.75, x_max = 100;
    long t = (long)number, share = records / threads;
    long mine = t == threads - 1 ? records - t * share : share;
    FILE *f = fopen(shuffled, "rb");
    fseek(f, t * share * sizeof(Record), SEEK_SET);
    cost[t] = 0;
    Record r;
    while (mine-- && fread(&r, sizeof r, 1, f) == 1) {
        double *a = W + (r.row - 1) * (size + 1), *b = W + (words + r.column - 1) * (size + 1);
        double *ga = squares + (a - W), *gb = squares + (b - W), diff = 0;
        for (long k = 0; k < size; k++) diff += a[k] * b[k];
        diff += a[size] + b[size] - log(r.value);
        double g = r.value > x_max ? diff : pow(r.value / x_max, alpha) * diff;
        cost[t] += 0.5 * g * diff;
        g *= eta;
        for (long k = 0; k < size; k++) {
            double da = g * b[k], db = g * a[k];
            a[k] -= da / sqrt(ga[k]), b[k] -= db / sqrt(gb[k]);
            ga[k] += da * da, gb[k] += db * db;
        }
        a[size] -= g / sqrt(ga[size]), b[size] -= g / sqrt(gb[size]);
        ga[size] += g * g, gb[size] += g * g;
    }
    fclose(f);
    return NULL;
}

static int train(int epochs, unsigned seed) {
    FILE *f = fopen(shuffled, "rb");
    if (!f) return 1;
    fseek(f, 0, SEEK_END);
    records = ftell(f) / sizeof(Record);
    fclose(f);
    long n = 2 * words * (size + 1);
    W = room(n * sizeof *W), squares = room(n * sizeof *squares);
    srand48(seed);
    for (long k = 0; k < n; k++) W[k] = (drand48() - 0.5) / (size + 1), squares[k] = 1;
    for (int epoch = 0; epoch < epochs; epoch++) {
        pthread_t all[64];
        double begun = now(), total = 0;
        for (long t = 0; t < threads; t++) pthread_create(&all[t], NULL, learn, (void *)t);
        for (int t = 0; t < threads; t++) pthread_join(all[t], NULL), total += cost[t];
        fprintf(stderr, "%.6f %.9f\n", now() - begun, total / records);
    }
    fwrite(W, sizeof *W, n, stdout);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && !strcmp(argv[1], "count")) return count(argv[2], atoi(argv[3]));
    if (argc == 3 && !strcmp(argv[1], "shuffle")) return shuffle(atoi(argv[2]));
    if (argc == 8 && !strcmp(argv[1], "train")) {
        shuffled = argv[2], words = atol(argv[3]), size = atol(argv[4]), threads = atoi(argv[5]);
        return train(atoi(argv[6]), atoi(argv[7]));
    }
    fprintf(stderr, "usage: see the comment in the source\n");
    return 2;
}
