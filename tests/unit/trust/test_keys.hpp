// SPDX-License-Identifier: Apache-2.0
// Keys made for these tests with "openssl genpkey", and signatures over the five bytes "hello" that the openssl tool
// made.
#pragma once

#include <string_view>

namespace sluice::trust::test_keys {

inline constexpr std::string_view kP256Private = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrsghE07CxJhKleWM
DfC5+J3AyRkZGhMh0XmfjTEqLrehRANCAAQtPLJ+0QpoSvbwIrrXX60Jx3nzQwFU
jgZ26jz2xPWGQlrmn1InEHonfUPHz8zH4Cb/WKQLIeomQh4ovoZQX/S1
-----END PRIVATE KEY-----
)";

inline constexpr std::string_view kP256Public = R"(-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAELTyyftEKaEr28CK611+tCcd580MB
VI4Gduo89sT1hkJa5p9SJxB6J31Dx8/Mx+Am/1ikCyHqJkIeKL6GUF/0tQ==
-----END PUBLIC KEY-----
)";

inline constexpr std::string_view kP256Hello =
    "MEUCIC4bta7A31XXaL3plsdogTETBovgWIzXSXgM/bic8FmIAiEA3uZl1IKtM/l5LbK30RwI1TgE+26MS+wDI//x"
    "A8f9eKI=";

inline constexpr std::string_view kP384Private = R"(-----BEGIN PRIVATE KEY-----
MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCCPIif81wZyl06Wad6
vhMVYxxPfzDghyL8eMLApyrAC7CnNs2fGm0f49/7tw0u9WqhZANiAATZY0VGeQhe
fY0iG+JpzrNOmc4EZaN9Nz4Pj3juybDu57bEeUG4nldhNSNV4PUs9IIiAhFgBolu
0IT5g3z9dTmc55pQGW4ehaSeO9LmNLJQjXAee22+WWvstsfy+3zx7Jo=
-----END PRIVATE KEY-----
)";

inline constexpr std::string_view kP384Public = R"(-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE2WNFRnkIXn2NIhviac6zTpnOBGWjfTc+
D4947smw7ue2xHlBuJ5XYTUjVeD1LPSCIgIRYAaJbtCE+YN8/XU5nOeaUBluHoWk
njvS5jSyUI1wHnttvllr7LbH8vt88eya
-----END PUBLIC KEY-----
)";

inline constexpr std::string_view kP384Hello =
    "MGUCMHiPjmDPyZoFcLmp0uweGfIDgmD4NEdxvYl6rG75XRbtSdJSODmh0NGs8rX3mTJibQIxAI/2QbuCLkJ7Qfz6"
    "9/WyLZ2ys6dw+xURULhTyPirKqUIkF8VBJHVpxmjcDp09E9/bA==";

inline constexpr std::string_view kP521Private = R"(-----BEGIN PRIVATE KEY-----
MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIBpGj5JpKcuacwi3Qs
3HVV+eWQOmPP6UwxeZX5GLEsBf/9Ocuo2Gr9iJfrzHAVou146ZNHKMFr8hB8Oyx7
U+UwuHOhgYkDgYYABAH01xLnfmmG/E1sILEppDMW91TH/3NVMOcbC3SBzNKIocSq
Wi59bAvlgU2i5CN4fIAp1vt6HT/jINBXnkofM7kvrAEFCobPxB3B/53CSKHYtY95
IGuQnEq1UqURZTk4ZRXWnPHlZxFNYdW+bBk59ZdKRpvKM+51DkrW/JnTBMaFVcBh
Tg==
-----END PRIVATE KEY-----
)";

inline constexpr std::string_view kP521Public = R"(-----BEGIN PUBLIC KEY-----
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQB9NcS535phvxNbCCxKaQzFvdUx/9z
VTDnGwt0gczSiKHEqloufWwL5YFNouQjeHyAKdb7eh0/4yDQV55KHzO5L6wBBQqG
z8Qdwf+dwkih2LWPeSBrkJxKtVKlEWU5OGUV1pzx5WcRTWHVvmwZOfWXSkabyjPu
dQ5K1vyZ0wTGhVXAYU4=
-----END PUBLIC KEY-----
)";

inline constexpr std::string_view kP521Hello =
    "MIGIAkIAlB++LGAvQd6McPiAkQOlLaKyzq/OGDzrlkAHxLMP5t+yVLc8BsNhyz+JV14kK1q74lUpcnPmR/cGdl9y"
    "0MzhVmsCQgD8fl5TYSdQXfdp2MVZCWNiWHOQiId2fmY/Q39NF7r6JD/AHY9zWepZMVgO1Wk0sTyIo6taW4hTXRx0"
    "tOn7xfCdeA==";

inline constexpr std::string_view kRsa2048Private = R"(-----BEGIN PRIVATE KEY-----
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC8Ac559K6Ryabc
ww/PuzI+W2Fer3Ar5IyShJ965fFIB/yQJ4V5+kWoJSKD3z0tLOt87Twy4PPaVMyQ
oq7sSNtNpSoAfw34Xa7FvZYrask5bs8IpC4B/NMO5r4UR4ezfFZlOAphpyOt0sCd
Oilan0W0VoWTxkB75vc7Ls70vvNGl6tJct7vjUzfnyB04cknegPvAd6Ec7rBqdT6
N5N4eFGyriVJhIn/hKGZR9UtQbFaDYVp9XyqLW3urCqK/YdhmjwNpqEzuGI4dV2u
7k/WsfeSDzklSPrHC8+mv0bVr68TTKMtnAMe2Zg3OC9+ANVHjW21ze9efYSe5FUN
mfuXczn1AgMBAAECggEAK2qlYo+JUtyFHr0jJR8/Qpw6t7F/D3vXpKxg4fJBDpfd
kPK3hcwwktyEhHyktY6GkVJ90OgXGEf1977B84n9rwgh03yD3uPPjRWznLIr5wn6
YK39e/MFUI8jvS4pnd7sWrKe3x9Ig4dEeOqqCyX15GgIr/AcCyDy3iV4oJeKObY9
jY/kMZ6Kf6xxPUsMs8d2DraBK+1AD6YDf8NuLn2w5FaoRabW7hIKRfCMUtDl+Qr9
iN25j5eOAncY+BHP1C3ojFUX5kbxBzIw2SEXvlt84b5mvMTASsHhpc7pkmjako+n
lehityXGta2nXW8OQ/iOyNw1oFOaO6uUpFDG0p94PwKBgQD7ofuTIYdvY0hYLEPZ
iwP58Aw7xU/LrDoom1ayojC28p7NprVWD4C64EHb0GAHy7HzVvVvPSVMeuj1OwPV
+tHytNgdhCoBRPaxYKTHjbuWWLRJOrx9jTX6dH+I0jiDRI2gYuA4+epY5fW5Qsze
6SjWHfRUGusAeaaTBQga2N9COwKBgQC/RSGxhd425Q1hlreP8V8hZRdZaa/n3Nzd
lqx5/sSVOhv3rjD4XU20O1kSr9ZbtLANHcd0w0EFxT2BOV0c0gCkt7bfLDbDKEQS
AHZb9/PdJdjyHL6Fz2UNvWqFtN8Jt4ScAcRYtjWKPj/dWh/7flcDeE28k9JYCyCt
AF4Qn8EBjwKBgQDwLuYtwxQ+OvsDxoSg8jNCb2GN78FBvEvrFJLFgVCUX7M6wsRV
uAh816+lPBldd42MotU0b53ZiXwxDzqTFY0uaHXcfpmFiqkaGBBQtbV3RYYYW+ss
wAvk2ywckeQFT/sLOzWgzNNmNWG9ish4gP9MmVzspqDnXDamIGhjD9zSnwKBgDlT
ROfp0VHukHYhL97qXrKpk7funxQE9AVNtV/S5aQ8CEnRYUfu3u0XpHifTsWpf+JO
fIsYQhKyrN5gDPIoVp0Hmr2EiN0w4kXq8Y5a4DH1t/HIf6mnIQhfLt/n97j30bzY
Irrb0WwfgBCdhFxh3z5g/ht4ymAs5Zw0Mf0VhEktAoGBALqFLZ0d7nVNQw8efZn1
d5ginaoDbK5I6IKFAyTelwQPpaSsGjtBNGYSSVPwd4E9AW9y+7WnisgFjPBguZsf
Qwq3tRkxm4JQme2pe22ANWDaBEkMCGQ0NCULlKs9aCDqRB3xGO8E52NxRUn+hmXP
IETZD5JFB4JX89k04ow6MQF0
-----END PRIVATE KEY-----
)";

inline constexpr std::string_view kRsa2048Public = R"(-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvAHOefSukcmm3MMPz7sy
PlthXq9wK+SMkoSfeuXxSAf8kCeFefpFqCUig989LSzrfO08MuDz2lTMkKKu7Ejb
TaUqAH8N+F2uxb2WK2rJOW7PCKQuAfzTDua+FEeHs3xWZTgKYacjrdLAnTopWp9F
tFaFk8ZAe+b3Oy7O9L7zRperSXLe741M358gdOHJJ3oD7wHehHO6wanU+jeTeHhR
sq4lSYSJ/4ShmUfVLUGxWg2FafV8qi1t7qwqiv2HYZo8DaahM7hiOHVdru5P1rH3
kg85JUj6xwvPpr9G1a+vE0yjLZwDHtmYNzgvfgDVR41ttc3vXn2EnuRVDZn7l3M5
9QIDAQAB
-----END PUBLIC KEY-----
)";

inline constexpr std::string_view kRsa2048Hello =
    "AATNmhHVqftWjNQGnHK9BHOt3AqZzEdGBm0/6lktKFiixvSOtoQo5BSplASVU60tpNXiptgjYoS9TC4gmcR4Gd2o"
    "8VbFofyT8OijxMkhEOx3xTc9RFKQEStDXja9iuR1lvL0HUi+0D3e6j4DFJzqVIuaENoP9RU9GjJLpi6FUnybWTRt"
    "oUSPNHz+YrPuXI3hgNyxS3E3jz22ULTfKzvHEXkta/l2wgVz4gRburEdlGVmXrQA8xpDG35gLvJYYwkfZXgJnIYh"
    "tGS/FX15aaMbAFXL0cOT+5xBPHrJZoJP1Rf80nynxWLWIwJQCyshvjAG5sOgpgv6VcRmyjjez3BGPg==";

inline constexpr std::string_view kEd25519Private = R"(-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEILsAtclLv2XRxgbRcbyIbRMxg5jQD9RKUelzfNoNX8IB
-----END PRIVATE KEY-----
)";

inline constexpr std::string_view kEd25519Public = R"(-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEABxx94Wr4AendNem2HFd4ICPivPoweFE3WOz8Wq4JwLo=
-----END PUBLIC KEY-----
)";

inline constexpr std::string_view kEd25519Hello =
    "i3PuLqJMJwSJe43cHO6x3zWzgtmFtFGWU7IDPCwghfUmWIx7EYOV6m05nLeBN+NizWY/G5et9Id/d3uOUjNCDA==";

inline constexpr std::string_view kOtherPrivate = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgfOPElDinMHuXkg5r
UvYOGg+ZijTnplHQhuaUcCL0a6qhRANCAAT1Ax+TkhvW7R9QVzzRKlTEO71cd6Nw
60uiOn+7rsX0KTgAVhphhPCAllWWJc9nhzEjW62K+LLwZ1ag3JT5D+Qu
-----END PRIVATE KEY-----
)";

inline constexpr std::string_view kOtherPublic = R"(-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9QMfk5Ib1u0fUFc80SpUxDu9XHej
cOtLojp/u67F9Ck4AFYaYYTwgJZVliXPZ4cxI1utiviy8GdWoNyU+Q/kLg==
-----END PUBLIC KEY-----
)";

inline constexpr std::string_view kRsa1024Public = R"(-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCevfg+GcTsD0gaMbQzsglolFCd
bpTU2OQdcYrV23Nv9tpfL/TrIulYGW//GOdT00KOWwF9aJP+Dm+U9v5/uvxLcFOa
OgKCLNN7G8xM2ELJNh+Blq0IWxK2emP8UaGm0yqyHPgQZvFPjI/32pbBZVonJ8mw
RNknGni6stG7N5OFcwIDAQAB
-----END PUBLIC KEY-----
)";

inline constexpr std::string_view kSecp256k1Public = R"(-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEid5lbFPogNafafzdsG5kA3wGc7Yws4l6
dxAKT0fv+cWq4ojlPDQQImJGgMsbTUnAj0bF8HD5qn/VjnJg24KywQ==
-----END PUBLIC KEY-----
)";

inline constexpr std::string_view kP256Sec1 = R"(-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIK7IIRNOwsSYSpXljA3wufidwMkZGRoTIdF5n40xKi63oAoGCCqGSM49
AwEHoUQDQgAELTyyftEKaEr28CK611+tCcd580MBVI4Gduo89sT1hkJa5p9SJxB6
J31Dx8/Mx+Am/1ikCyHqJkIeKL6GUF/0tQ==
-----END EC PRIVATE KEY-----
)";

/// One key in both encrypted forms, PKCS#8 and OpenSSL's own of old; its passphrase is "correct".
inline constexpr std::string_view kP256Encrypted = R"(-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjtWaSqg+A68QICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEFWfc+L/zX18h04NL4BqrmcEgZC9
zauKEEmLWxLx8UiOedKYL1zXySB7U7cJVsdIUfswG+kiMEZKIHXU2ojyjMxLaJnX
0U1+N8ArfCUijenUsMXM2YJN56jCzfAIyFoQ2rlldgopv5f3fFMl0cjoGqhMIVoA
T4suv6na5u/56+ZlS6i8R41FSo5ASFvUucydzw8o9o0F1nidqtei1sKrcPwrdPM=
-----END ENCRYPTED PRIVATE KEY-----
)";

inline constexpr std::string_view kP256EncryptedOfOld = R"(-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,B308775DEA2855392B70B0024FAB5BB6

u64/PbMyuCw20+EpnXGraz74xMB1Q+QosapjQToHAxhWVMSivx4osHJxYbBKbAta
1V2MqOpPLAx0qS/fAruLKVQMEKJeHq88ki+D4rrthcEFlG/ha6HlAUWerPNTSzPE
o9pR3U9MGkuYpLe8MB3LEmzk8gZriFIth5i842LJq3E=
-----END EC PRIVATE KEY-----
)";

inline constexpr std::string_view kP256EncryptedPublic = R"(-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE/tsOEjDh3jEwYddDmarxFC+7ANp4
/llIgniCwF6GkPNBQhGNHmQDORNOyFhXodr0jnFaR5lLhpd2t7xhw/hmOQ==
-----END PUBLIC KEY-----
)";

} // namespace sluice::trust::test_keys
