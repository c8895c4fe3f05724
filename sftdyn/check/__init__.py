"""What `sftdyn --check --online` asks: is the certificate, and is where the names live, as the conf needs it?"""
