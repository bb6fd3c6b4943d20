import Testing

@testable import Reporting

@Suite("Numbers as a person reads them")
struct QuantityTests {
  @Test(arguments: [
    (UInt64(0), "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (100_000, "100,000"),
  ])
  func count(value: UInt64, text: String) { #expect(Quantity.count(value) == text) }

  @Test(arguments: [
    (UInt64(0), "0 B"), (1023, "1,023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (16 << 20, "16 MiB"),
    (2_101_248, "2.0 MiB"), (UInt64.max, "16,384.0 PiB"),
  ])
  func bytes(value: UInt64, text: String) { #expect(Quantity.bytes(value) == text) }

  @Test(arguments: [
    (UInt64(0), "0 ns"), (999, "999 ns"), (1000, "1.0 us"), (1_499_999, "1.5 ms"),
    (81_099_901_120, "81.10 s"),
  ])
  func duration(value: UInt64, text: String) { #expect(Quantity.duration(value) == text) }

  @Test("Stamps keep every digit")
  func stamp() { #expect(Quantity.stamp(15_510_842_160) == "15.510842160 s") }

  @Test("A share of nothing is no number")
  func percent() {
    #expect(Quantity.percent(1, of: 0) == "-")
    #expect(Quantity.percent(2380, of: 2382) == "99.9 %")
    #expect(Quantity.percent(2382, of: 2382) == "100.0 %")
  }

  @Test("Only all is 100 percent, and only nothing is 0")
  func distinct() {
    #expect(Quantity.percent(7254, of: 7256) == "99.97 %")
    #expect(Quantity.percent(0, of: 5) == "0.0 %")
    #expect(Quantity.percent(1, of: 100_000) == "0.001 %")
    #expect(Quantity.percent(999_999, of: 1_000_000) == "99.9999 %")
    #expect(Quantity.percent(.max / 128, of: .max / 127) == "99.2 %")
    #expect(Quantity.share(1) == "100.0 %" && Quantity.share(0) == "0.0 %")
    #expect(Quantity.share(0.99999) == "99.999 %" && Quantity.share(0.0004) == "0.04 %")
    #expect(Quantity.signedPercent(-0.00001) == "-0.001 %" && Quantity.signedPercent(0) == "+0.0 %")
    #expect(Quantity.share(.greatestFiniteMagnitude).hasSuffix(" %"))
  }
}
