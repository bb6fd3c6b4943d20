/// Which module may use which: the data flow of the design, checked on sources and manifest alike.
///
///     KVMTypes <- KVMTrace, Stage2Model <- Stage2Replay <- Reporting <- pkvm-replay
///
/// The model does no I/O and knows no trace; the ingester knows no model; only the ingester and the
/// synthesiser touch compression, only the ingester touches libtraceevent.
enum ImportRules {
  /// Modules of the toolchain that a target with I/O may import. Not all of Foundation: it takes a process 2 ms to load that, and
  /// the tables of ICU with it.
  private static let system: Set<String> = ["Dispatch", "FoundationEssentials", "Glibc", "Synchronization"]

  /// What each target may import. A target that is missing here fails the test.
  static let allowed: [String: Set<String>] = [
    "KVMTypes": [],
    "SeededRandom": [],
    // Files without a name, for tests and the programs that make up traces.
    "UnnamedFiles": ["Glibc"],
    // What a database has, for tests.
    "DatabaseReader": ["CSQLite"],
    // A backend in C, for tests.
    "ToyBackend": ["Foundation"],
    "Stage2Model": ["KVMTypes", "CMemoryHints"],
    "CostFit": ["KVMTypes", "Stage2Model"],
    "LockModel": ["KVMTypes", "Stage2Model", "SeededRandom", "Histogram"],
    "KVMTrace": system.union(["KVMTypes", "CZstd", "CZlib", "CTraceEvent", "CTraceEventShims"]),
    "Stage2Replay": system.union(["KVMTypes", "KVMTrace", "Stage2Model", "CMemoryHints"]),
    // Stage-2 MMUs from shared objects.
    "ForeignStage2": system.union(["KVMTypes", "Stage2Model", "SeededRandom", "CStage2Backend"]),
    "Reporting": system.union([
      "KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay", "Pictures", "CostFit", "LockModel",
      "ForeignStage2",
    ]),
    // What a replay looks like, for those who draw it.
    "Pictures": ["KVMTypes", "Stage2Model", "Stage2Replay"],
    // A replay as tracks of the Perfetto UI.
    "PerfettoExport": ["KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay"],
    // A replay as a database.
    "SQLiteExport": system.union(["KVMTypes", "Stage2Model", "Stage2Replay", "Reporting", "CSQLite"]),
    // Pages for a browser; pictures in them are compressed.
    "HTMLReport": ["KVMTypes", "Stage2Model", "Stage2Replay", "Reporting", "Pictures", "CZlib"],
    "TraceSynth": system.union(["KVMTypes", "SeededRandom", "CZstd", "CZlib"]),
    // A recording, or a part of it, as a trace.dat.
    "TraceExport": ["KVMTypes", "KVMTrace", "TraceSynth"],
    // The naive twin of the model, and the program that runs the two against each other for long.
    "ModelOracle": ["KVMTypes", "Stage2Model", "SeededRandom"],
    "model-soak": system.union(["ModelOracle"]),
    // Changed recordings, and the program that measures which changes the replay notices.
    "TraceMutation": system.union([
      "KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay", "TraceSynth", "SeededRandom", "UnnamedFiles",
    ]),
    "replay-sensitivity": system.union([
      "Foundation", "KVMTypes", "KVMTrace", "Stage2Replay", "TraceMutation",
    ]),
    // The simulation of mmu_lock against queueing theory.
    "QueueingOracle": ["KVMTypes", "Stage2Model", "LockModel"],
    "lock-simulation-check": system.union(["LockModel", "QueueingOracle"]),
    // The model's trees against their twins in C.
    "CTreeBench": [],
    // Reading alone.
    "ingest-bench": system.union(["KVMTypes", "KVMTrace"]),
    // Reading of changed recordings.
    "fuzz-readers": system.union(["KVMTypes", "KVMTrace", "UnnamedFiles"]),
    "tree-bench": system.union(["KVMTypes", "Stage2Model", "CTreeBench"]),
    // Plug-ins of the build.
    "CommitOfBuild": ["Foundation", "PackagePlugin"],
    "EmbeddedSchemas": ["Foundation", "PackagePlugin"],
    "pkvm-replay": system.union([
      "KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay", "Reporting", "TraceSynth", "ArgumentParser",
      "CMemoryHints", "CostFit", "TraceExport", "PerfettoExport", "SQLiteExport", "Pictures", "HTMLReport",
      "ForeignStage2",
    ]),
  ]

  /// The modules that a Swift source imports.
  static func imports(_ source: String) -> [String] {
    source.split(separator: "\n").compactMap { line in
      guard
        let match = line.wholeMatch(
          of:
            /\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:struct|class|enum|protocol|typealias|func|let|var)\s+)?(\w+).*/
        )
      else { return nil }
      return String(match.1)
    }
  }

  /// The modules that `source` imports though its target must not.
  static func violations(target: String, source: String) -> [String] {
    guard let allowed = allowed[target] else { return ["\(target) has no rule"] }
    return imports(source).filter { !allowed.contains($0) }
  }

  /// The dependencies that the manifest gives to each target that is no test, system or C target.
  static func dependencies(manifest: String) -> [String: [String]] {
    var found: [String: [String]] = [:]
    let pattern =
      /\.(?:target|executableTarget|plugin)\(\s*name:\s*"([^"]+)"(?:,\s*dependencies:\s*\[([^\]]*)\])?/
    for match in manifest.matches(of: pattern) {
      let list = match.2.map(String.init) ?? ""
      // `.product(name: "X", package: "y")` depends on X.
      let names = list.replacing(/package:\s*"[^"]*"/, with: "").matches(of: /"([^"]+)"/)
      found[String(match.1)] = names.map { String($0.1) }
    }
    return found
  }
}
