using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.Conformance.Processors;

/// <summary>A hypervisor that does at each call what a test says.</summary>
internal sealed class TestPersonality : IPersonality, ICounterLead
{
    public const uint Register = 0x4000_0000;
    public const ushort Port = 0x5658;

    public delegate bool Call(in GuestCall call, bool byInstruction);

    /// <summary>Executes hypercalls.</summary>
    public Call Executes { get; set; } = static (in _, _) => true;

    /// <summary>What <see cref="Register"/> holds.</summary>
    public ulong Value { get; set; } = 0x1122_3344_5566_7788;

    /// <summary>RCX at each access to <see cref="Port"/>.</summary>
    public List<ulong> Left { get; } = [];

    /// <summary>What was written to it.</summary>
    public List<byte> Written { get; } = [];

    public List<int> Privileges { get; } = [];

    /// <summary>What <see cref="ICounterLead"/> told.</summary>
    public List<long> Leads { get; } = [];

    public string Name => "test";

    public IReadOnlyList<CpuidEntry> Leaves => [];

    public ushort FirstPort => Port;

    public int PortCount => 1;

    public bool HasHypercalls => true;

    public bool HasHypercallPage { get; init; } = true;

    public bool UsesHypercallInstruction { get; set; }

    public bool NeedsLocalApics { get; init; }

    public void Connect(int processor, IProcessorSignals signals, ILocalInterruptController controller)
    {
    }

    public bool DependsOnTimeStamp(uint index) => true;

    public bool TryReadMsr(int processor, ulong timeStamp, uint index, out ulong value)
    {
        value = Value;
        return index == Register;
    }

    public bool TryWriteMsr(int processor, ulong timeStamp, uint index, ulong value)
    {
        Value = index == Register ? value : Value;
        return index == Register;
    }

    public void OnTimeStampSet(int processor, ulong timeStamp)
    {
    }

    public void OnLead(int processor, long lead) => Leads.Add(lead);

    public bool TryHypercall(in GuestCall call, bool byInstruction = true)
    {
        Privileges.Add(call.PrivilegeLevel);
        return call.PrivilegeLevel == 0 && Executes(call, byInstruction);
    }

    public void ReadPort(in GuestCall call, ushort port, Span<byte> data)
    {
        Left.Add(call.Registers[GuestCall.Rcx]);
        call.Set32(GuestCall.Rbx, 77);
        for (int n = 0; n < data.Length; n++)
        {
            data[n] = (byte)(0xa0 + Left.Count + n);
        }
    }

    public void WritePort(in GuestCall call, ushort port, ReadOnlySpan<byte> data)
    {
        Written.AddRange(data);
        call.Set32(GuestCall.Rbx, 78);
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
