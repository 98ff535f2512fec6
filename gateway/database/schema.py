"""The tables that a part of the gateway has in a database, beside those of other parts and other programs."""

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, insert, select


class SchemaError(Exception):
    """Raised for a database whose tables cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables in ``metadata``, and their ``version``, which the table ``versions`` holds.

    ``holds`` says what they keep, as in "there is no prediction log in it". ``lock`` is the number of PostgreSQL's advisory
    lock, of this part alone, for what may be done by one process at a time.
    """

    holds: str
    metadata: MetaData
    versions: Table
    version: int
    lock: int

    def make_ready(self, connection: Connection) -> None:
        """Make the tables if they are missing; the transaction excludes others that do.

        Raises SchemaError for tables of another version, or of another program.
        """
        has_table = connection.dialect.has_table
        if not has_table(connection, self.versions.name):
            for table in self.metadata.sorted_tables:
                if has_table(connection, table.name):
                    raise SchemaError(
                        f"its table {table.name} is another program's, because there is no table {self.versions.name}"
                    )
            self.metadata.create_all(connection)
            connection.execute(insert(self.versions).values(version=self.version))
        self.check(connection)

    def check(self, connection: Connection) -> None:
        """Raise SchemaError unless the tables are there, and of this version."""
        if not connection.dialect.has_table(connection, self.versions.name):
            raise SchemaError(f"there is no {self.holds} in it: it has no table {self.versions.name}")
        found = connection.execute(select(self.versions.c.version)).scalars().all()
        if found != [self.version]:
            raise SchemaError(f"its tables are of version {found}, this gateway knows version [{self.version}]")


def versions_table(name: str, metadata: MetaData) -> Table:
    """The table that holds the version of the others."""
    return Table(name, metadata, Column("version", BigInteger, primary_key=True, autoincrement=False))
