/* SPDX-License-Identifier: Apache-2.0 */
/* What a program that was compiled against the headers has in it for good: sizes, offsets and numbers. */
#include "lib/sluice.h"
#include "lib/sluice_client.h"

#include <stdio.h>

#define SIZE(type) printf("sizeof %s %zu\n", #type, sizeof(struct type))
#define FIELD(type, field) printf("offsetof %s.%s %zu\n", #type, #field, offsetof(struct type, field))
#define NUMBER(name) printf("number %s %lld\n", #name, (long long)(name))

int main(void)
{
    SIZE(sluice_ondemand);
    FIELD(sluice_ondemand, struct_size);
    FIELD(sluice_ondemand, cookie_flags);
    FIELD(sluice_ondemand, block_size);
    FIELD(sluice_ondemand, request);
    FIELD(sluice_ondemand, ctx);
    FIELD(sluice_ondemand, why);
    SIZE(sluice_options);
    FIELD(sluice_options, struct_size);
    FIELD(sluice_options, socket_path);
    FIELD(sluice_options, timeout_ms);
    FIELD(sluice_options, flags);
    FIELD(sluice_options, reserved);
    SIZE(sluice_completion);
    FIELD(sluice_completion, id);
    FIELD(sluice_completion, user);
    FIELD(sluice_completion, result);
    NUMBER(sizeof(enum sluice_source));
    NUMBER(sizeof(enum sluice_why));
    NUMBER(SLUICE_SOURCE_UNKNOWN);
    NUMBER(SLUICE_FILL_WITH_ZEROES);
    NUMBER(SLUICE_DOWNLOAD_FROM_SERVER);
    NUMBER(SLUICE_READ_FROM_CACHE);
    NUMBER(SLUICE_INVALID_READ);
    NUMBER(SLUICE_SREQ_COPY_TO_CACHE);
    NUMBER(SLUICE_SREQ_ONDEMAND);
    NUMBER(SLUICE_COOKIE_NO_DATA_TO_READ);
    NUMBER(SLUICE_WHY_AFTER_EOF);
    NUMBER(SLUICE_WHY_FOUND_HOLE);
    NUMBER(SLUICE_WHY_FOUND_PART);
    NUMBER(SLUICE_WHY_HAVE_DATA);
    NUMBER(SLUICE_WHY_NO_DATA);
    NUMBER(SLUICE_WHY_NO_FILE);
    NUMBER(SLUICE_WHY_SEEK_ERROR);
    NUMBER(SLUICE_WHY_SEEK_NXIO);
    NUMBER(SLUICE_WHY_BAD_ARGUMENT);
    NUMBER(SLUICE_WHY_PART_OF_BLOCK);
    NUMBER(SLUICE_CONNECT_WAIT);
    return 0;
}
