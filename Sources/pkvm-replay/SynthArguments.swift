import ArgumentParser
import KVMTypes
import TraceSynth

/// Whole numbers with a unit, as the options of `synth` take them.
private func quantity(_ text: String, units: [String: UInt64]) -> UInt64? {
  let digits = text.prefix { $0.isASCII && $0.isNumber }
  guard let number = UInt64(digits), let unit = units[text.dropFirst(digits.count).lowercased()] else {
    return nil
  }
  let (product, overflow) = number.multipliedReportingOverflow(by: unit)
  return overflow ? nil : product
}

/// A number of events: `200000`, `500k`, `5M`.
struct EventCount: ExpressibleByArgument {
  var number: Int

  init(number: Int) { self.number = number }

  init?(argument: String) {
    let units: [String: UInt64] = ["": 1, "k": 1000, "m": 1_000_000, "g": 1_000_000_000]
    guard let value = quantity(argument, units: units), let number = Int(exactly: value) else { return nil }
    self.number = number
  }

  var defaultValueDescription: String { "\(number)" }
}

/// An amount of memory: `512MiB`, `4G`, `65536`. Units are powers of 1024.
struct MemorySize: ExpressibleByArgument {
  var bytes: UInt64

  init(bytes: UInt64) { self.bytes = bytes }

  init?(argument: String) {
    var units: [String: UInt64] = ["": 1, "b": 1]
    for (power, letter) in ["k", "m", "g", "t"].enumerated() {
      let unit: UInt64 = 1 << UInt64(10 * (power + 1))
      units[letter] = unit
      units[letter + "b"] = unit
      units[letter + "ib"] = unit
    }
    guard let bytes = quantity(argument, units: units) else { return nil }
    self.bytes = bytes
  }

  var defaultValueDescription: String {
    bytes % (1 << 30) == 0 ? "\(bytes >> 30)GiB" : "\(bytes >> 20)MiB"
  }
}

/// The versions of trace.dat.
enum FileFormat: String, ExpressibleByArgument, CaseIterable {
  case v6
  case v7
}

/// The compressions of a v7 file.
enum FileCompression: String, ExpressibleByArgument, CaseIterable {
  case none
  case zstd
  case zlib

  var method: TraceFlavour.Compression {
    switch self {
    case .none: .none
    case .zstd: .zstd
    case .zlib: .zlib
    }
  }
}
