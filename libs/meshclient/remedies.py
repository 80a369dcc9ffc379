"""What to do about each error reason. Made by ``meshclient.make_remedies``; do not edit."""

REMEDIES: dict[str, str] = {
    "BAD_FILE": "Compare it with ImportFormat, or name the columns in ImportSpec.columns.",
    "BAD_ROW": "Mend them and upload the file again.",
    "CURSOR_TRIMMED": "Read the state anew and watch without a cursor, or from `oldest_cursor`.",
    "DEADLINE_EXCEEDED": "A mutation may have been done: repeat it with the same request id.",
    "DRAINING": "Retry at once: another server, or the same one restarted, will answer.",
    "ETAG_MISMATCH": "Read it again and repeat.",
    "IMPORT_CRASHED": "Split the file.",
    "IMPORT_NOT_ALLOWED": "Send the source instead.",
    "IMPORT_NOT_FOUND": "Look at ListImportJobs.",
    "IMPORT_UNFINISHED": "Cancel it first, or wait.",
    "INSTRUMENT_EXISTS": "Use it, or delete it first.",
    "INSTRUMENT_IN_USE": "Delete that first.",
    "INSTRUMENT_NOT_FOUND": "Create it with CreateInstrument, or look at ListInstruments.",
    "INTERNAL": "Report it with the request id, under which it is logged.",
    "INVALID_CURSOR": "Watch again without a cursor.",
    "INVALID_FIELD": "Mend the fields named.",
    "INVALID_PAGE_TOKEN": "Start again at the first page with the filter unchanged.",
    "NO_DATA": "Import it, or look at ListCoverage.",
    "OVERLAP_REFUSED": "Use MERGE or REPLACE, or delete the data first.",
    "PROJECT_FORBIDDEN": "Use a project that WhoAmI lists.",
    "RANGE_OUTSIDE_COVERAGE": "Choose a range between `first` and `last`, or import more.",
    "RATE_LIMITED": "Wait as long as RetryInfo says.",
    "REQUEST_ID_REUSED": "Use a new request id for a new request.",
    "ROW_CONFLICT": "Mend the file, or import with REPLACE.",
    "SCOPE_MISSING": "Use an API key that holds it.",
    "SERIALIZATION_CLASH": "Repeat with the same request id.",
    "SERVICE_UNAVAILABLE": "Retry with back-off.",
    "STALE_FENCE": "Repeat with the same request id: the new one will answer.",
    "STORE_UNAVAILABLE": "Retry with back-off; nothing was done.",
    "STRATEGY_CONFIG_INVALID": "Mend the paths named.",
    "STRATEGY_EXISTS": "Choose another, or add a version to it.",
    "STRATEGY_LOAD_EXITED": "Do not exit at import.",
    "STRATEGY_LOAD_MEMORY": "Allocate in `on_start`, not at import.",
    "STRATEGY_LOAD_TIMEOUT": "Do no work at import.",
    "STRATEGY_NOT_FOUND": "See ListStrategies.",
    "STRATEGY_SOURCE_INVALID": "Mend the line named.",
    "STRATEGY_VERSION_AMBIGUOUS": "Give more digits.",
    "STRATEGY_VERSION_NOT_FOUND": "See ListStrategyVersions.",
    "TOKEN_EXPIRED": (
        "Exchange the API key for a new one. A Watch that ends so can be resumed with its "
        "last cursor."
    ),
    "TOKEN_INVALID": "Exchange the API key for a new one.",
    "TOKEN_MISSING": (
        "Exchange an API key for one (AuthService.ExchangeApiKey) and send it as "
        "`authorization: Bearer`."
    ),
    "UNKNOWN_METHOD": "Compare the versions with GetMeshInfo.",
    "UPLOAD_INCOMPLETE": "Upload the file again.",
    "UPLOAD_TOO_LARGE": "Split the file.",
}
