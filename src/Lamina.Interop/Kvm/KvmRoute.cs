using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_irq_routing_entry</c>: what a global system interrupt of KVM does.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmRoute
{
    private const uint ToPin = 1;
    private const uint ToMessage = 2;

    /// <summary>The global system interrupt.</summary>
    public uint Line;

    /// <summary>What the rest means.</summary>
    public uint Kind;

    /// <summary>None are defined.</summary>
    public uint Flags;

    /// <summary>Nothing.</summary>
    public uint Padding;

    /// <summary>Low half of the message's address, or the <see cref="KvmChip"/>.</summary>
    public uint First;

    /// <summary>High half of the message's address, or the chip's input.</summary>
    public uint Second;

    /// <summary>The message's data.</summary>
    public uint Data;

    /// <summary>Nothing.</summary>
    public uint Rest0;

    /// <summary>Nothing.</summary>
    public ulong Rest1;

    /// <summary>Nothing.</summary>
    public ulong Rest2;

    /// <summary>A route to a message.</summary>
    public static KvmRoute Message(uint line, ulong address, uint data)
    {
        return new KvmRoute { Line = line, Kind = ToMessage, First = (uint)address, Second = (uint)(address >> 32), Data = data };
    }

    /// <summary>A route to an input of a controller that KVM has.</summary>
    public static KvmRoute Pin(uint line, KvmChip chip, uint pin) => new() { Line = line, Kind = ToPin, First = (uint)chip, Second = pin };
}
