// swift-tools-version: 6.2

import PackageDescription

/// Settings of every Swift target: a warning is an error, imports say what they expose.
let strict: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// Those of the product's own targets. tools/test has them optimised, with their assertions: its tests then take 4 minutes of CPU
/// time in place of 34.
let own: [SwiftSetting] =
  strict
  + (Context.environment["PKVM_REPLAY_TESTED"] == nil
    ? [] : [.unsafeFlags(["-O", "-assert-config", "Debug"])])

let package = Package(
  name: "pkvm-replay",
  products: [
    .library(name: "KVMTypes", targets: ["KVMTypes"]),
    .library(name: "KVMTrace", targets: ["KVMTrace"]),
    .library(name: "Stage2Model", targets: ["Stage2Model"]),
    .library(name: "LockModel", targets: ["LockModel"]),
    .library(name: "CostFit", targets: ["CostFit"]),
    .library(name: "Stage2Replay", targets: ["Stage2Replay"]),
    .library(name: "Reporting", targets: ["Reporting"]),
    .executable(name: "pkvm-replay", targets: ["pkvm-replay"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
  ],
  targets: [
    // System libraries. Debian: libzstd-dev, libtraceevent-dev, zlib1g-dev, libsqlite3-dev.
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(
      name: "CTraceEvent", pkgConfig: "libtraceevent", providers: [.apt(["libtraceevent-dev"])]),
    .systemLibrary(name: "CSQLite", providers: [.apt(["libsqlite3-dev"])]),
    .target(name: "CTraceEventShims", dependencies: ["CTraceEvent"]),
    // The interface of a stage-2 MMU in C: one header.
    .systemLibrary(name: "CStage2Backend", path: "Sources/CStage2Backend/include"),

    // Data flows one way: KVMTypes <- KVMTrace, Stage2Model <- Stage2Replay <- Reporting <- pkvm-replay.
    // Tests/LayoutTests fails when a target imports what it must not.
    .target(name: "KVMTypes", swiftSettings: own),
    // Numbers that a seed determines, for simulations, made-up traces and random tests.
    .target(name: "SeededRandom", swiftSettings: own),
    .target(
      name: "KVMTrace",
      dependencies: ["KVMTypes", "CZstd", "CZlib", "CTraceEvent", "CTraceEventShims"],
      swiftSettings: own),
    // What Swift cannot say to CPU and system about memory.
    .target(name: "CMemoryHints"),
    .target(name: "Stage2Model", dependencies: ["KVMTypes", "CMemoryHints"], swiftSettings: own),
    // What operations take: values in nanoseconds, and their fit to recorded times.
    .target(name: "CostFit", dependencies: ["KVMTypes", "Stage2Model"], swiftSettings: own),
    // Time under mmu_lock: who waits for whom.
    .target(
      name: "LockModel",
      dependencies: [
        "KVMTypes", "Stage2Model", "SeededRandom", .product(name: "Histogram", package: "hdrhistogram-swift"),
      ],
      swiftSettings: own),
    .target(
      name: "Stage2Replay",
      dependencies: ["KVMTypes", "KVMTrace", "Stage2Model", "CMemoryHints"],
      swiftSettings: own),
    // Stage-2 MMUs from shared objects, and what two of them do of the same calls.
    .target(
      name: "ForeignStage2", dependencies: ["KVMTypes", "Stage2Model", "SeededRandom", "CStage2Backend"],
      swiftSettings: own),
    .target(
      name: "Reporting",
      dependencies: [
        "KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay", "Pictures", "CostFit", "LockModel",
        "ForeignStage2",
      ],
      exclude: ["Schemas"], swiftSettings: own, plugins: ["EmbeddedSchemas"]),
    // The JSON Schemas go into the library itself: the program is often copied alone.
    .plugin(name: "EmbeddedSchemas", capability: .buildTool(), path: "Sources/EmbeddedSchemas"),
    // What a replay looks like over time and address: values that renderers draw.
    .target(name: "Pictures", dependencies: ["KVMTypes", "Stage2Model", "Stage2Replay"], swiftSettings: own),
    // A replay as tracks of the Perfetto UI.
    .target(
      name: "PerfettoExport", dependencies: ["KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay"],
      swiftSettings: own),
    // A replay as a database. SQLite is linked statically: to load the shared library would cost time at each start, and few starts
    // need it.
    .target(
      name: "SQLiteExport",
      dependencies: ["KVMTypes", "Stage2Model", "Stage2Replay", "Reporting", "CSQLite"],
      swiftSettings: own, linkerSettings: [.linkedLibrary(":libsqlite3.a")]),
    // Reports as pages for a browser.
    .target(
      name: "HTMLReport",
      dependencies: ["KVMTypes", "Stage2Model", "Stage2Replay", "Reporting", "Pictures", "CZlib"],
      swiftSettings: own),
    .target(
      name: "TraceSynth", dependencies: ["KVMTypes", "SeededRandom", "CZstd", "CZlib"],
      swiftSettings: own),
    // A recording, or a part of it, as a trace.dat.
    .target(
      name: "TraceExport", dependencies: ["KVMTypes", "KVMTrace", "TraceSynth"], swiftSettings: own),
    .executableTarget(
      name: "pkvm-replay",
      dependencies: [
        "KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay", "CostFit", "Reporting", "TraceSynth",
        "TraceExport", "PerfettoExport", "SQLiteExport", "Pictures", "HTMLReport",
        "CMemoryHints", "ForeignStage2", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: own, plugins: ["CommitOfBuild"]),
    // Tells the program which commit it is built from.
    .plugin(name: "CommitOfBuild", capability: .buildTool(), path: "Sources/CommitOfBuild"),

    // What the model must do, written naively: the oracle of its random tests and of the long run.
    .target(
      name: "ModelOracle", dependencies: ["KVMTypes", "Stage2Model", "SeededRandom"],
      swiftSettings: own),
    // The mapping trees in C with pointers, for tree-bench alone.
    .target(name: "CTreeBench"),
    .executableTarget(
      name: "tree-bench", dependencies: ["KVMTypes", "Stage2Model", "CTreeBench"], swiftSettings: own),
    // How fast a trace is read, alone.
    .executableTarget(name: "ingest-bench", dependencies: ["KVMTypes", "KVMTrace"], swiftSettings: own),
    // What tools/fuzz gives changed recordings to; built as it is, it reads files.
    .executableTarget(
      name: "fuzz-readers", dependencies: ["KVMTypes", "KVMTrace", "UnnamedFiles"], exclude: ["dictionaries"],
      swiftSettings: own),
    .executableTarget(name: "model-soak", dependencies: ["ModelOracle"], swiftSettings: own),
    // Files that are gone with whoever made them.
    .target(name: "UnnamedFiles", swiftSettings: own),
    // What a database has, for tests.
    .target(
      name: "DatabaseReader", dependencies: ["CSQLite"], path: "Tests/DatabaseReader", swiftSettings: own,
      linkerSettings: [.linkedLibrary(":libsqlite3.a")]),
    // Recordings changed, merged and made up in memory, to see what the replay makes of them.
    .target(
      name: "TraceMutation",
      dependencies: [
        "KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay", "TraceSynth", "SeededRandom", "UnnamedFiles",
      ],
      swiftSettings: own),
    .executableTarget(
      name: "replay-sensitivity", dependencies: ["KVMTypes", "KVMTrace", "Stage2Replay", "TraceMutation"],
      swiftSettings: own),

    // Locks whose answer queueing theory knows, and the program that compares the simulation with it.
    .target(
      name: "QueueingOracle", dependencies: ["KVMTypes", "Stage2Model", "LockModel"],
      swiftSettings: own),
    .executableTarget(
      name: "lock-simulation-check", dependencies: ["LockModel", "QueueingOracle"], swiftSettings: own),

    .testTarget(name: "KVMTypesTests", dependencies: ["KVMTypes"], swiftSettings: strict),
    .testTarget(
      name: "KVMTraceTests",
      dependencies: ["KVMTypes", "KVMTrace", "TraceSynth", "SeededRandom", "UnnamedFiles"],
      swiftSettings: strict),
    .testTarget(
      name: "Stage2ModelTests", dependencies: ["KVMTypes", "Stage2Model", "ModelOracle", "SeededRandom"],
      swiftSettings: strict),
    .testTarget(
      name: "LockModelTests",
      dependencies: ["KVMTypes", "Stage2Model", "CostFit", "LockModel", "QueueingOracle", "SeededRandom"],
      swiftSettings: strict),
    .testTarget(
      name: "CostFitTests", dependencies: ["KVMTypes", "Stage2Model", "CostFit", "SeededRandom"],
      swiftSettings: strict),
    .testTarget(
      name: "Stage2ReplayTests",
      dependencies: [
        "KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay", "TraceSynth", "TraceMutation", "SeededRandom",
        "UnnamedFiles", .product(name: "Histogram", package: "hdrhistogram-swift"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "ReportingTests",
      dependencies: [
        "KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay", "Pictures", "CostFit", "Reporting",
        "TraceSynth", "TraceMutation", "UnnamedFiles",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "PicturesTests",
      dependencies: ["KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay", "Pictures", "SeededRandom"],
      swiftSettings: strict),
    .testTarget(
      name: "PerfettoExportTests",
      dependencies: ["KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay", "PerfettoExport"],
      swiftSettings: strict),
    .testTarget(
      name: "HTMLReportTests",
      dependencies: [
        "KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay", "Reporting", "Pictures", "HTMLReport",
        "UnnamedFiles",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "SQLiteExportTests",
      dependencies: [
        "KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay", "Reporting", "SQLiteExport", "DatabaseReader",
        "TraceSynth", "UnnamedFiles",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "TraceSynthTests", dependencies: ["KVMTypes", "TraceSynth", "SeededRandom", "UnnamedFiles"],
      swiftSettings: strict),
    // A backend in C, compiled when a test wants it.
    .target(name: "ToyBackend", path: "Tests/ToyBackend", exclude: ["toy-backend.c"], swiftSettings: own),
    .testTarget(
      name: "ForeignStage2Tests", dependencies: ["KVMTypes", "Stage2Model", "ForeignStage2", "ToyBackend"],
      swiftSettings: strict),
    .testTarget(
      name: "CommandLineTests",
      dependencies: ["pkvm-replay", "TraceSynth", "DatabaseReader", "UnnamedFiles", "ToyBackend"],
      swiftSettings: strict),
    // The libraries as somebody outside of the package has them: without what only the package sees.
    .testTarget(
      name: "LibraryTests",
      dependencies: ["KVMTypes", "KVMTrace", "Stage2Model", "Stage2Replay", "Reporting"],
      packageAccess: false, swiftSettings: strict),
    .testTarget(name: "LayoutTests", swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
