"""MongoDB's collections and the fields of their documents."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypedDict

VIEWS: Final = "historico_visualizacao"
DELETED_VIEWS: Final = "visualizacoes_apagadas"  # by view ID: `apagado_por`, the correlation ID of the DeleteView
RECOMMENDATIONS: Final = "recomendacoes"
POPULAR: Final = "conteudos_populares"  # one document: the contents that are watched the most
INBOX: Final = "comandos_aplicados"  # by correlation ID: what was applied, and its receipt
KNOWN_USERS: Final = "usuarios_conhecidos"  # by user ID: who was found to exist, or was erased
# By the topic's ID, partition and offset: records of keys that have one which the lane gave up.
PARKED_RECORDS: Final = "registros_estacionados"
CONTENT_HASH: Final = "hash_conteudo"  # the field that tells whether a view, or recommendations, are as written
POSITIONS: Final = "posicoes"  # by the topic's ID and partition: below which offset every command is answered


class ViewDocument(TypedDict, total=False):
    """A document of `historico_visualizacao`. One from before the platform may lack some of its fields."""

    _id: str  # the correlation ID of the RecordView
    user_id: int
    conteudo_id: int
    titulo: str
    tipo: str  # of mesh.stored_enums.KINDS
    tempo_assistido: int  # in seconds
    posicao: float  # in percent
    data: datetime  # to the millisecond, which is what a Date of MongoDB holds
    data_microssegundos: int  # what `data` has to be later by, 0 to 999 microseconds
    concluido: bool
    hash_conteudo: int  # of all the others; a document of an earlier version has none


class RecommendedDocument(TypedDict, total=False):
    """One of a recommendation's `itens`."""

    conteudo_id: int
    titulo: str
    tipo: str  # of mesh.stored_enums.KINDS
    pontuacao: float
    motivo: str  # of mesh.stored_enums.RECOMMENDATION_REASONS


class RecommendationsDocument(TypedDict, total=False):
    """A document of `recomendacoes`."""

    _id: str  # the correlation ID of the GenerateRecommendations
    user_id: int
    data_geracao: datetime
    itens: Sequence[RecommendedDocument]
    hash_conteudo: int  # of all the others; a document of an earlier version has none
