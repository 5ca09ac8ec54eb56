using System.Text;
using Lamina.Machine.Processors;

namespace Lamina.Personalities;

/// <summary>The CPUID leaves that more than one hypervisor has.</summary>
public static class HypervisorLeaves
{
    /// <summary>The first leaf, with the signature.</summary>
    internal const uint Signature = 0x4000_0000;

    /// <summary>The leaf with the frequencies of the time-stamp counter and the local APIC timer in kHz, which VMware defined.</summary>
    internal const uint Timing = 0x4000_0010;

    /// <summary>The leaves of a machine whose accelerator shows the guest a hypervisor of its own behind them.</summary>
    public static IReadOnlyList<CpuidEntry> CreateOwn(ulong tscFrequency, ulong localTimerFrequency)
    {
        return [CreateSignature(Timing, "LaminaLamina"), CreateTiming(tscFrequency, localTimerFrequency)];
    }

    /// <summary>The first leaf.</summary>
    /// <param name="maximum">The last leaf.</param>
    /// <param name="signature">12 characters.</param>
    internal static CpuidEntry CreateSignature(uint maximum, string signature)
    {
        Span<byte> text = stackalloc byte[12];
        Encoding.ASCII.GetBytes(signature, text);
        return new CpuidEntry(
            Signature, CpuidEntry.AnySubleaf, maximum, BitConverter.ToUInt32(text), BitConverter.ToUInt32(text[4..]), BitConverter.ToUInt32(text[8..]));
    }

    /// <summary>The frequencies.</summary>
    internal static CpuidEntry CreateTiming(ulong tscFrequency, ulong localTimerFrequency)
    {
        return new CpuidEntry(Timing, CpuidEntry.AnySubleaf, (uint)(tscFrequency / 1000), (uint)(localTimerFrequency / 1000), 0, 0);
    }
}
