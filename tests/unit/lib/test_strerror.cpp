// SPDX-License-Identifier: Apache-2.0
#include "lib/sluice_client.h"

#include <cerrno>
#include <gmock/gmock.h>
#include <set>
#include <string>

namespace {

using ::testing::HasSubstr;

TEST(Strerror, SaysWhatTheResultsOfAReadMean)
{
    EXPECT_THAT(sluice_strerror(-EBADMSG), HasSubstr("not what was signed"));
    EXPECT_THAT(sluice_strerror(-ENOSPC), HasSubstr("no room"));
    EXPECT_THAT(sluice_strerror(-ETIMEDOUT), HasSubstr("time-out"));
    EXPECT_THAT(sluice_strerror(-ENODATA), HasSubstr("no repository"));
    EXPECT_STREQ(sluice_strerror(0), "success");
    EXPECT_STREQ(sluice_strerror(4096), "success") << "that many bytes were read";
}

TEST(Strerror, EachReasonHasWordsOfItsOwn)
{
    std::set<std::string> texts;
    for (const int code : {EACCES, EBADMSG, ECANCELED, EIO, ENODATA, ENOENT, ENOSPC, ENOTUNIQ, ESTALE, ETIMEDOUT}) {
        texts.insert(sluice_strerror(-code));
    }
    EXPECT_EQ(texts.size(), 10U);
}

TEST(Strerror, AnUnknownNumberHasATextToo)
{
    EXPECT_THAT(sluice_strerror(-99999), HasSubstr("no words"));
    EXPECT_THAT(sluice_strerror(INT64_MIN + 1), HasSubstr("no words"));
}

} // namespace
