namespace Lamina.Interop.Kvm;

/// <summary>MSRs that follow each other.</summary>
/// <param name="First">The first.</param>
/// <param name="Count">How many.</param>
public readonly record struct KvmMsrSpan(uint First, uint Count = 1);
