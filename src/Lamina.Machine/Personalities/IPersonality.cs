using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Processors;

namespace Lamina.Machine.Personalities;

/// <summary>
/// The hypervisor that a guest sees: its CPUID leaves, its model-specific registers, its hypercalls, and ports that answer in registers. Accelerators that carry personalities
/// bring to it what they do not know themselves; paravirtual devices that have registers of their own are mapped like any other device. Members are called on the thread of the
/// processor in question unless they say otherwise, several at once.
/// </summary>
public interface IPersonality : IDevice
{
    /// <summary>The answers from 4000_0000H on. The same for all processors, as long as the machine lives.</summary>
    IReadOnlyList<CpuidEntry> Leaves { get; }

    /// <summary>Its first port that answers in registers, at any privilege level; 0 for none.</summary>
    ushort FirstPort { get; }

    /// <summary>How many such ports there are.</summary>
    int PortCount { get; }

    /// <summary>Whether it executes VMCALL and VMMCALL. Otherwise these are undefined instructions.</summary>
    bool HasHypercalls { get; }

    /// <summary>Whether its guests call through a page that it fills, and so by <see cref="HypercallPort"/>: a write of a byte to that port is then a hypercall, where the processor's privilege allows the write.</summary>
    bool HasHypercallPage { get; }

    /// <summary>Whether the guest may be executing VMCALL or VMMCALL itself, so that an accelerator must bring these here. While no processor runs.</summary>
    bool UsesHypercallInstruction { get; }

    /// <summary>Whether it needs the machine's own local APICs: its interrupts end of themselves or by a flag, or its registers are theirs.</summary>
    bool NeedsLocalApics { get; }

    /// <summary>Connects a processor. Before it runs.</summary>
    void Connect(int processor, IProcessorSignals signals, ILocalInterruptController controller);

    /// <summary>Reads a model-specific register that the processor does not have itself.</summary>
    /// <param name="processor">Which processor.</param>
    /// <param name="timeStamp">Its time-stamp counter.</param>
    /// <param name="index">The register.</param>
    /// <param name="value">Its value.</param>
    /// <returns><c>false</c> if the access must raise #GP.</returns>
    bool TryReadMsr(int processor, ulong timeStamp, uint index, out ulong value);

    /// <summary>Writes such a register.</summary>
    /// <returns><c>false</c> if the access must raise #GP.</returns>
    bool TryWriteMsr(int processor, ulong timeStamp, uint index, ulong value);

    /// <summary>Whether what such a register gives or takes depends on the time-stamp counter; for all others that may be given as 0.</summary>
    bool DependsOnTimeStamp(uint index);

    /// <summary>The guest has set a processor's time-stamp counter.</summary>
    void OnTimeStampSet(int processor, ulong timeStamp);

    /// <summary>Executes VMCALL or VMMCALL, or the write to <see cref="HypercallPort"/>. The caller's privilege is to be looked at: programs may have been let to the port.</summary>
    /// <param name="call">The registers.</param>
    /// <param name="byInstruction">VMCALL or VMMCALL.</param>
    /// <returns><c>false</c> if the instruction must raise #UD; a write to the port is one to where nothing is.</returns>
    bool TryHypercall(in GuestCall call, bool byInstruction = true);

    /// <summary>Reads 1, 2 or 4 bytes from one of its ports. Also for each element of a repeated INS: RCX then counts what is left, this element included, and an element may be read again.</summary>
    void ReadPort(in GuestCall call, ushort port, Span<byte> data);

    /// <summary>Writes 1, 2 or 4 bytes to one of its ports. Also for each element of a repeated OUTS, in the same way.</summary>
    void WritePort(in GuestCall call, ushort port, ReadOnlySpan<byte> data);
}
