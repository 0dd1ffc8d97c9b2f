# apt-get install apache2-utils && sh make_htpasswd.sh > htpasswd.txt
p="correct horse battery"
htpasswd -nbB bcrypt@example.com "$p" | head -1
htpasswd -nb2 sha256@example.com "$p" | head -1
htpasswd -nb5 sha512@example.com "$p" | head -1
htpasswd -nbm apr1@example.com "$p" | head -1
htpasswd -nbs sha1@example.com "$p" | head -1
htpasswd -nbB plain-name "$p" | head -1
