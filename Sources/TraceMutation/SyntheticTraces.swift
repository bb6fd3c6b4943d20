internal import KVMTrace
internal import KVMTypes
internal import SeededRandom
package import Stage2Replay
package import TraceSynth
internal import UnnamedFiles

/// Small synthetic traces of every shape, one for each seed.
package struct SyntheticTraces {
  /// How many events each has.
  package var events = 2000

  package init() {}

  /// What the trace of a seed contains, and how its file is laid out.
  package func shape(seed: UInt64) -> (SynthesizerConfiguration, TraceFlavour) {
    var random = SplitMix64(seed: seed)
    func one<Value>(of values: Value...) -> Value { values[Int(random.next() % UInt64(values.count))] }
    var configuration = SynthesizerConfiguration()
    configuration.seed = seed
    configuration.events = events
    configuration.pageSize = one(of: .size4K, .size4K, .size16K, .size64K)
    configuration.vms = one(of: 1, 1, 2, 3)
    configuration.vcpus = one(of: 1, 2, 4, 8)
    configuration.cpus = one(of: 1, 2, 4, 6)
    configuration.ipaBits = one(of: 36, 40, 44, 48)
    // Little memory is touched again and again; much of it holds blocks.
    configuration.memoryBytes = one(of: 64, 512, 4096, 20_000) * configuration.pageSize.bytes
    configuration.hugePagePercent = one(of: 0, 50, 100)
    configuration.notifierPermille = one(of: 0, 80, 400)
    configuration.hardwareAccessFlag = one(of: false, true)
    configuration.losses = one(of: 0, 0, 0, 3)
    // An address of the VMM fits into a long of a 64-bit kernel only.
    let version: TraceFlavour.Version = one(of: .v6, .v7)
    let flavour = TraceFlavour(
      version: version, byteOrder: one(of: .little, .big), pageBytes: Int(configuration.pageSize.bytes),
      compression: version == .v6 ? .none : one(of: .none, .zstd, .zlib))
    return (configuration, flavour)
  }

  /// What the replay finds in the trace of a seed.
  package func replay(seed: UInt64) throws -> ReplayResult {
    let (configuration, flavour) = shape(seed: seed)
    let output = OutputFile()
    _ = try Synthesizer.write(configuration, flavour, to: output)
    let file = try UnnamedFile(output.memory)
    let trace = try TraceFile(path: file.path)
    return try Replay.run(trace, profile: ProfileRequest(), options: ReplayOptions()).result
  }
}
