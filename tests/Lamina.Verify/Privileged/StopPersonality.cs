using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.Verify.Privileged;

/// <summary>VMCALL, at any privilege level, ends a run: it is where code goes on behind a case.</summary>
internal sealed class StopPersonality : IPersonality
{
    public string Name => "stop";

    /// <summary>Whether a run has come there.</summary>
    public bool IsReached { get; set; }

    /// <summary>Executes VMCALL in place of another instruction; false: it is none of these. Null: it always ends the run.</summary>
    public Func<bool>? Intercept { get; set; }

    /// <summary>The processor that it stops.</summary>
    public IVirtualProcessor? Processor { get; set; }

    public IReadOnlyList<CpuidEntry> Leaves => [];

    public ushort FirstPort => 0;

    public int PortCount => 0;

    public bool HasHypercalls => true;

    public bool HasHypercallPage => false;

    public bool UsesHypercallInstruction => true;

    public bool NeedsLocalApics => false;

    public void Connect(int processor, IProcessorSignals signals, ILocalInterruptController controller)
    {
    }

    public bool TryReadMsr(int processor, ulong timeStamp, uint index, out ulong value)
    {
        value = 0;
        return false;
    }

    public bool TryWriteMsr(int processor, ulong timeStamp, uint index, ulong value) => false;

    public bool DependsOnTimeStamp(uint index) => false;

    public void OnTimeStampSet(int processor, ulong timeStamp)
    {
    }

    public bool TryHypercall(in GuestCall call, bool byInstruction = true)
    {
        if (Intercept?.Invoke() == true)
        {
            return true;
        }

        IsReached = true;
        Processor?.RequestExit();
        return true;
    }

    public void ReadPort(in GuestCall call, ushort port, Span<byte> data)
    {
    }

    public void WritePort(in GuestCall call, ushort port, ReadOnlySpan<byte> data)
    {
    }

    public void Start()
    {
    }

    public void Stop()
    {
    }

    public void Reset()
    {
    }

    public void Save(IStateWriter state)
    {
    }

    public bool Restore(IStateReader state) => true;
}
