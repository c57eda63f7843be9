"""The files that hub and agents read anew, and their content, which is another each time."""

from __future__ import annotations

import hashlib

# Good for every name, whoever else is in the file.
TOKEN = "a token of the fault tests"


class Files:
    """An auth file, a log filter for each program, how many lanes an agent takes."""

    def __init__(self, folder):
        self.folder, self.times = folder, 0
        self.put("token", TOKEN)
        self.rewrite()

    def put(self, name, text):
        """At once: whoever reads meanwhile gets the old one or the new."""
        new = self.folder / f"{name}.new"
        new.write_text(f"{text}\n")
        new.replace(self.folder / name)

    def rewrite(self):
        """Somebody else may come in, too; another filter, another number of lanes."""
        self.times += 1
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        of_others = hashlib.sha256(f"{self.times}".encode()).hexdigest()
        entries = []
        for who in ("agents", "callers"):
            for name, sha in (("stays", digest), (f"other-{self.times}", of_others)):
                entries.append(f'[[{who}]]\nid = "{name}"\ntoken_sha256 = "{sha}"\nnames = ["*"]')
        self.put("auth.toml", "\n".join(entries))
        self.put("filter", ("info", "info,hub=info")[self.times % 2])
        self.put("lanes", (1024, 512)[self.times % 2])

    @property
    def of_hub(self):
        """Its flags."""
        return ["--auth-file", self.folder / "auth.toml", "--log-filter", f"@{self.folder}/filter"]

    @property
    def of_agents(self):
        """Their flags."""
        lanes = ["--max-lanes", f"@{self.folder}/lanes", "--log-filter", f"@{self.folder}/filter"]
        return ["--token-file", self.folder / "token", *lanes]

    @property
    def of_callers(self):
        """Their flags."""
        return ["--token", TOKEN]
