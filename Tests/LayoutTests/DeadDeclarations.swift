/// Declarations that nothing uses: a name that stands once in all sources, where it is declared.
///
/// This is by words and not by meaning, so it finds no dead declaration whose name something else has, too; what it finds
/// is dead, or called by others than the sources.
struct DeadDeclarations {
  /// Names that others than the sources use, and who does.
  static let allowed: [String: String] = [
    "createBuildCommands": "the package manager calls it",
    "_rawHashValue": "the standard library's tables call it",
    "allValueStrings": "ArgumentParser calls it",
    "buildBlock": "the compiler calls it", "buildOptional": "the compiler calls it",
    "buildArray": "the compiler calls it",
    "readOneInput": "libFuzzer calls it",
    "FuzzReaders": "a program", "IngestBench": "a program", "LockSimulationCheck": "a program",
    "ModelSoak": "a program", "PKVMReplay": "a program",
    "ReplaySensitivity": "a program", "TreeBench": "a program",
  ]

  /// What is there for users of the libraries and for tests of the model, and no program of the package uses.
  static let interface: [String: [String]] = [
    "functions of the kernel, which whoever drives the model calls": [
      "kvmHandleGuestAbort", "enableDirtyLog", "disableDirtyLog", "clearDirtyLog", "stage2UnmapVM",
      "kvmArchFlushShadowAll", "kvmPhysAddrIoremap", "mmuNotifierInvalidateRangeStart",
      "mmuNotifierInvalidateRangeEnd", "mmuNotifierClearFlushYoung", "mmuNotifierClearYoung",
      "mmuNotifierTestYoung", "createMemslot", "deleteMemslot", "moveMemslot", "kvmSetWayFlush",
      "kvmToggleCache", "transparentHuge", "setAccessFlagInHardware", "lockEntry", "addMapping",
    ],
    "state of the model and fields of events, to look at": [
      "isTraced", "MMIOPath", "lockTotals", "needsLargeAddresses", "actsOnLoadedVCPU", "refillsMemcache",
      "treeCounters",
      "donated", "unlinkedTables", "chainCount", "pageCount", "entryPC", "isInterrupt", "wordCount", "l0",
    ],
    "bits that the architecture names": ["software0", "software2", "software3"],
    "clients of the lock's simulation, for whoever plans with it": ["ResampledClients"],
  ]

  /// Targets that are there for tests as much as for programs: what a test uses of them is used.
  static let forTests: Set<String> = [
    "ModelOracle", "QueueingOracle", "SeededRandom", "TraceMutation", "TraceSynth", "UnnamedFiles",
  ]

  /// Words that begin a declaration. `case` begins one of an enum, or a pattern, whose names are declared elsewhere.
  private static let introducers: Set<String> = [
    "func", "var", "let", "case", "struct", "enum", "class", "protocol", "typealias", "actor",
  ]

  private var uses: [String: Int] = [:]
  private var declarations: [String: String] = [:]

  /// Takes in a file of the sources, `path` from the top of the package.
  mutating func add(source: String, path: String) {
    var last = ""
    var isBlankBehindLast = false
    SwiftWords.forEach(in: source) { word, before, behind in
      uses[word, default: 0] += 1
      // The pattern `case .name` declares nothing, nor does `case "text"`.
      if before == " ", isBlankBehindLast, Self.introducers.contains(last) { declarations[word] = path }
      last = word
      isBlankBehindLast = behind == " "
    }
  }

  /// Takes in a file of the tests: what it says is a use of what is there for tests.
  mutating func add(test: String) {
    SwiftWords.forEach(in: test) { word, _, _ in
      guard let path = declarations[word], Self.forTests.contains(String(path.split(separator: "/")[1]))
      else {
        return
      }
      uses[word, default: 0] += 1
    }
  }

  /// "path: name" of each declaration that nothing uses, in the order of the paths.
  var unused: [String] {
    let interface = Set(Self.interface.values.joined())
    return declarations.compactMap { name, path in
      // A constant of C in a pattern is in capitals.
      let isOurs = name.contains { $0.isLowercase }
      return isOurs && uses[name] == 1 && Self.allowed[name] == nil
        && !interface.contains(name) ? "\(path): \(name)" : nil
    }.sorted()
  }
}
