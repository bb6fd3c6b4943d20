import ArgumentParser
import KVMTypes
import TraceSynth

/// Whole numbers with a unit.
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

/// An amount of memory: `512MiB`, `4G`, `1.5GiB`. Units are powers of 1024, and there must be one: a bare number would
/// be bytes, which nobody means.
struct MemorySize: CustomStringConvertible {
  var bytes: UInt64

  init(bytes: UInt64) { self.bytes = bytes }

  /// The amount that an option was given, or what is wrong with it.
  static func parse(_ text: String) throws -> MemorySize {
    if let bytes = bytes(text) {
      guard bytes > 0 else { throw ValidationError("must be more than 0") }
      return MemorySize(bytes: bytes)
    }
    if let decimal = ["kb", "mb", "gb", "tb"].firstIndex(where: text.lowercased().hasSuffix),
      bytes(String(text.dropLast(2)) + "KiB") != nil
    {
      let letter = Array("KMGT")[decimal]
      throw ValidationError(
        "\(letter)B is 10^\(3 * (decimal + 1)) bytes: say \(text.dropLast(2))\(letter)iB")
    }
    throw ValidationError(
      text.allSatisfy { $0.isASCII && $0.isNumber || $0 == "." }
        ? "a unit is needed, such as \(text)GiB or \(text)MiB"
        : "give an amount below 16 EiB with its unit, such as 4GiB, 1.5GiB or 512MiB, that is a whole number of bytes"
    )
  }

  /// The bytes of an amount, nil for what is none, has no unit, is no whole number of bytes, or does not fit 64 bits.
  private static func bytes(_ text: String) -> UInt64? {
    let digits = text.prefix { $0.isASCII && $0.isNumber || $0 == "." }
    let parts = digits.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }),
      let whole = parts.first.flatMap({ UInt64($0) }),
      let unit = unit(text.dropFirst(digits.count).lowercased())
    else { return nil }
    let (product, overflow) = whole.multipliedReportingOverflow(by: unit)
    if overflow { return nil }
    guard parts.count == 2 else { return product }
    guard let tenths = fraction(parts[1], of: unit) else { return nil }
    let (sum, carries) = product.addingReportingOverflow(tenths)
    return carries ? nil : sum
  }

  /// `0.digits` of `unit` bytes, if that is a whole number.
  private static func fraction(_ digits: Substring, of unit: UInt64) -> UInt64? {
    guard digits.count <= 18, let number = UInt64(digits) else { return nil }
    let scale = digits.reduce(UInt64(1)) { power, _ in power * 10 }
    let (quotient, remainder) = scale.dividingFullWidth(number.multipliedFullWidth(by: unit))
    return remainder == 0 ? quotient : nil
  }

  private static func unit(_ name: String) -> UInt64? {
    let power = ["k", "m", "g", "t"].firstIndex { [$0, $0 + "ib"].contains(name) }
    return power.map { 1 << UInt64(10 * ($0 + 1)) } ?? (name == "b" ? 1 : nil)
  }

  var description: String {
    let units: [(UInt64, String)] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
    return units.first { bytes % $0.0 == 0 }.map { "\(bytes / $0.0)\($0.1)" } ?? "\(bytes)B"
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
