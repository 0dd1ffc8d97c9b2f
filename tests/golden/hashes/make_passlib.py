# python3 -m venv v && v/bin/pip install passlib==1.7.4 bcrypt==4.0.1 argon2-cffi && v/bin/python make_passlib.py > passlib.txt
from passlib.hash import (argon2, bcrypt, django_pbkdf2_sha256, pbkdf2_sha1, pbkdf2_sha256, pbkdf2_sha512, scrypt,
                          sha256_crypt, sha512_crypt)

made = [
    bcrypt.using(rounds=6), bcrypt.using(rounds=5, ident="2a"), bcrypt.using(rounds=5, ident="2y"),
    sha256_crypt.using(rounds=5000), sha256_crypt.using(rounds=1234), sha512_crypt.using(rounds=5000),
    sha512_crypt.using(rounds=2345), pbkdf2_sha1.using(rounds=1000), pbkdf2_sha256.using(rounds=2000),
    pbkdf2_sha512.using(rounds=1500), django_pbkdf2_sha256.using(rounds=3000), scrypt.using(rounds=10),
    argon2.using(type="I", rounds=2, memory_cost=1024), argon2.using(type="ID", rounds=1, memory_cost=1024),
]
for maker in made:
    for password in ["correct horse battery", "x", "gr\u00fc\u00dfe aus k\u00f6ln \u2603", "a" * 80]:
        print(password, maker.hash(password), sep="\t")
