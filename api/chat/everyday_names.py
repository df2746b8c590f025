"""Names that visitors' code has whatever it is about, so that no docs need to mention them."""

from __future__ import annotations

import builtins
import keyword
from typing import Final

#: Languages' words, the commands, files and calls of everyday.
_EVERYDAY: Final = """
true false null none undefined nan string str int integer float bool boolean object array list dict tuple set
map number void any never unknown bytes char double long short var let const function return async await yield
new delete typeof instanceof this super extends implements interface enum class struct type import export
default from require module exports if else elif for while do switch case break continue try catch except
finally throw raise with as in not and or is lambda def pass global nonlocal assert del public private protected
static final abstract package get post put patch head options http https html css json yaml toml xml csv sql url
uri api cli cd ls cp mv rm mkdir cat echo touch source sudo chmod chown grep find curl wget tar unzip ssh git
docker npm npx yarn pnpm bun node deno pip pip3 pipx uv uvx poetry python python3 bash sh zsh powershell cmd
make brew apt apt-get go cargo rustc java javac ruby gem php composer install run start build test dev add init
create update upgrade uninstall commit push pull clone checkout print println printf main args kwargs self cls
props state event error err result response request req res data value key item index name console.log
console.error json.dumps json.loads json.parse json.stringify os.environ os.getenv process.env sys.argv sys.exit
math.floor math.max math.min object.keys object.entries array.from promise.all document.getelementbyid
window.location node.js next.js vue.js main.py app.py test.py script.py example.py index.js index.ts index.html
app.js app.ts app.jsx app.tsx main.js main.ts server.js package.json package-lock.json tsconfig.json
pyproject.toml requirements.txt readme.md .env docker-compose.yml --help --version e.g i.e __init__ __main__
__name__ __init__.py settimeout setinterval addeventlistener getelementbyid queryselector preventdefault
tostring isinstance
"""
#: In lower case.
EVERYDAY: Final = frozenset({*_EVERYDAY.split(), *(name.lower() for name in (*keyword.kwlist, *dir(builtins)))})
