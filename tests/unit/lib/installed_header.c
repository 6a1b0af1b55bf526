/* SPDX-License-Identifier: Apache-2.0 */
/* What a stranger's C program sees: the header alone, in C11, linked against the shared library. */
#include "lib/sluice.h"

#include <stdio.h>
#include <string.h>

static int refuse(void* ctx, uint64_t start, uint64_t len)
{
    (void)start;
    (void)len;
    ++*(int*)ctx;
    return -1;
}

int main(void)
{
    int asked = 0;
    struct sluice_ondemand options = SLUICE_ONDEMAND_INIT;
    options.request = refuse;
    options.ctx = &asked;

    FILE* empty = tmpfile();
    if (empty == NULL) {
        return 77;
    }
    uint64_t len = 4096;
    unsigned long flags = SLUICE_SREQ_ONDEMAND;
    const enum sluice_source source = sluice_prepare_ondemand_read(fileno(empty), 0, &len, INT64_MAX, &flags, &options);
    int64_t run = 0;
    const int occupied = sluice_query_occupancy(fileno(empty), 0, 4096, 0, &run, &len);
    fclose(empty);

    const int right = source == SLUICE_INVALID_READ && asked == 1 && options.why == SLUICE_WHY_SEEK_NXIO &&
                      occupied < 0 && run == -1 && strcmp(sluice_source_name(source), "invalid-read") == 0;
    if (!right) {
        fprintf(stderr, "%s, %s\n", sluice_source_name(source), sluice_why_name(options.why));
    }
    return right ? 0 : 1;
}
