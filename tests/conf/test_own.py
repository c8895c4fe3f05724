"""The conf's `own`: what may be written, and what is said to someone who got it wrong."""

from pathlib import Path

import pytest

from sftdyn.conf.check import describe
from sftdyn.conf.program import ConfigError
from sftdyn.values.specs import AddressFunction, Bind, Client, Cloudflare, Function, Interface, Own, Web
from tests.conf.conftest import loaded

HOME = 'Client("home.example", address=Interface("ppp0"))'


def source_of(path: Path, written: str) -> object:
    [own] = loaded(path, f'own = [Client("home.example", address={written})]').own
    return own.source


def test_a_conf_may_have_nothing_but_own(path: Path) -> None:
    config = loaded(path, f"own = [{HOME}]")
    assert config.own == (Own(Client(("home.example.",)), Interface("ppp0"), 300),)
    assert config.listeners == ()
    said = [line for line in describe(config) if "there is no interface" not in line]  # of this machine
    assert said[1:] == [
        "updates: the local name server (nsupdate -l)",
        "zones: found by asking",
        "clients: 0, with 0 host names",
        "own: home.example from ppp0, every 300 s",
    ]
    with pytest.raises(ConfigError, match="nothing to listen on"):
        loaded(path, "own = []")


def test_one_needs_no_list(path: Path) -> None:
    assert loaded(path, f"own = {HOME}").own == loaded(path, f"own = [{HOME}]").own


def test_sources(path: Path) -> None:
    assert source_of(path, 'Interface("enp0s31f6.7")') == Interface("enp0s31f6.7")
    urls = ("https://ip.example/?a=s3cr3t", "http://[2001:db8::1]:8080/trace")
    web = source_of(path, f"Web{urls}")
    assert web == Web(urls)
    assert str(web) == "ip.example, [2001:db8::1]:8080"
    assert "s3cr3t" not in repr(web)
    assert isinstance(source_of(path, "lambda: '192.0.2.1'"), AddressFunction)


@pytest.mark.parametrize("every", [1, 1.5, 60, 10_000_000])
def test_every_number_of_seconds_from_1_will_do(path: Path, every: float) -> None:
    [own] = loaded(path, f"own = [{HOME[:-1]}, every={every})]").own
    assert own.every == every


def test_own_has_the_providers_of_other_clients(path: Path) -> None:
    text = (
        "def mine(name, type, ttl, addresses, secret): return 'OK'\n"
        'own = [Client("a.example", address=mine, provider=mine), Client("b.example", address=mine)]\n'
        'provider = Cloudflare(token="t")\n'
    )
    config = loaded(path, text)
    assert [type(spec) for spec in config.providers] == [Cloudflare, Function]
    assert list(config.own_providers) == [config.own[0].client.provider, config.provider]
    called = f"def get_host(querystring, ip): pass\nhttp = 8080\nown = [{HOME[:-1]}, provider=Cloudflare(token='t'))]\n"
    assert Bind() in loaded(path, called).providers
    zoned = loaded(path, f'zone = "example"\nown = [{HOME}]')
    assert zoned.own[0].client == Client(("home.example.",))


def test_a_name_may_have_one_source_for_each_family(path: Path) -> None:
    text = 'own = [Client("a.example", address=Interface("eth0"), networks="{}"), Client("a.example", address=Web("https://b.example"), networks="{}")]'
    assert len(loaded(path, text.format("::/0", "0.0.0.0/0")).own) == 2
    for networks in (("::/0", "2001:db8::/32"), ("192.0.2.0/24", "0.0.0.0/0")):
        with pytest.raises(ConfigError, match=r'own: entry 2: a name that an entry before it has, too; .*"::/0"'):
            loaded(path, text.format(*networks))


def test_check_warns_of_plain_http(path: Path) -> None:
    written = 'Web("https://a.example/", "http://b.example/")'
    config = loaded(path, f'own = [Client("a.example", address={written})]')
    assert describe(config)[-1].startswith("warning: own asks over plain HTTP")


def test_what_is_almost_own_may_be_an_old_confs_own_variable(path: Path) -> None:
    config = loaded(path, "http = 8080\nowns = 7\n")
    assert config.doubts == (f"{path}:2: owns: there is no such setting; did you mean own?",)


@pytest.mark.parametrize(
    ("written", "reply"),
    [
        ('own = ["home.example"]', "own: entry 1: no client, and no keys here; write own = [Client("),
        ('own = {"k": "home.example"}', "own: entry 1: no client, and no keys here"),
        (f'own = [{HOME}, Client("b.example")]', "own: entry 2: it does not say where its address comes from"),
        (f'clients["k"] = {HOME}', "clients: address is for clients in own, which nobody calls for"),
        ('own = [Client("a.example", adress=1)]', "adress: there is no such setting; did you mean address?"),
        ('own = [Client("a.example", address=Web("https://a.example/"), prove=443)]', "prove: for clients only; what"),
        ('own = [Client("a.example", every=5)]', "every: how often own looks at an address; say at which"),
        ('own = [Client("a.example", address="ppp0")]', 'address: write Interface("ppp0"), Web('),
        ('own = [Client("a.example", address=Web)]', "address: the brackets are missing; write Interface("),
        ("Interface()", "Interface: write the name of one interface"),
        ('Interface("eth0", "eth1")', "Interface: write the name of one interface"),
        ('Interface(name="eth0")', 'Interface: name: there is no such setting; write Interface("ppp0")'),
        ('Interface("eth0.7@eth0")', 'write the part in front of it: Interface("eth0.7")'),
        ('Interface("@eth0")', "Interface: write the name of one interface"),
        ('Interface("eth0:1")', "Interface: write the name of one interface"),
        (
            'Interface("a-name-of-16-ch")\nInterface("a-name-of-16-cha")',
            ":2: the conf stopped with an error: Interface",
        ),
        ("Web()", "Web: write from 1 to 8 URLs"),
        (
            'Web("https://ip.example/", every=5)',
            'Web: every: there is no such setting; write Web("https://ip.example/")',
        ),
        ('own = [Client("a.example", address=Interface)]', "address: the brackets are missing; write Interface("),
        ('Web("ip.example")', "Web: write whole URLs"),
        ('Web("ftp://ip.example")', "Web: write whole URLs"),
        ('Web("https://user:s3cr3t@ip.example")', "Web: write whole URLs"),
        ('Web("https://ip.example/\\r\\n")', "Web: write whole URLs"),
        ('Web("https://ip.example:99999/")', "Web: write whole URLs"),
        ('Web(["https://ip.example/"])', "Web: write whole URLs"),
        ('Web("https://a.example/1", "https://a.example/2")', "Web: the same server twice"),
        ('Web("https://a.example/", "https://A.example:443/")', "Web: the same server twice"),
        ('Web("https://a.example/", "http://a.example./")', "Web: the same server twice"),
        *(
            (f"own = [{HOME[:-1]}, every={every})]", "every: write a number of seconds, 1 or more")
            for every in ('"5"', "0", "0.9", "True", 'float("nan")', 'float("inf")', "10**400")
        ),
        (f"{HOME.replace(')', ', lan=5)', 1)}", "Interface: lan: there is no such setting; write Interface("),
        (
            f'zone = "dyn.example"\nown = [{HOME}]',
            'own: entry 1: "',
        ),
        (
            'own = [Client("a.example", address=Interface("a"), provider=Cloudflare())]',
            "own: entry 1: nobody calls with a token here, so the provider needs one of its own",
        ),
        (f"provider = Cloudflare()\nown = [{HOME}]", "own: entry 1: nobody calls with a token here"),
        (f'clients["k"] = "home.example"\nown = [{HOME}]', "own: entry 1: a name that clients has, too"),
        (
            f'clients["k"] = Client("a.example", lan={{"home.example": "::1"}})\nown = [{HOME}]',
            "own: entry 1: a name that clients has, too",
        ),
        (f"own = [{HOME}, {HOME}]", "own: entry 2: a name that an entry before it has, too"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_write(path: Path, written: str, reply: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(path, f"{written}\nhttp = 8080\n")
    assert reply in str(caught.value)
    assert str(caught.value).count(str(path)) == 1
    assert "s3cr3t" not in str(caught.value)
