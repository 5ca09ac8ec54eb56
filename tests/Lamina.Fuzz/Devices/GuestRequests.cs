using Lamina.Machine.Personalities;

namespace Lamina.Fuzz.Devices;

/// <summary>What a guest asks the hypervisor for that it sees: model-specific registers, hypercalls, ports that answer in registers.</summary>
internal static class GuestRequests
{
    // Where hypervisors have theirs: KVM, Hyper-V and Xen, and the local APIC's x2APIC registers.
    private static readonly uint[] Registers = [0x11, 0x12, 0x1b, 0x800, 0x40000000, 0x40000020, 0x40000080, 0x40000100, 0x4b564d00];

    /// <summary>Makes one.</summary>
    public static void Make(FuzzedMachine machine, Random random, int processor)
    {
        IPersonality personality = machine.Devices.Personality;
        Span<ulong> registers = stackalloc ulong[16];
        for (int i = 0; i < registers.Length; i++)
        {
            registers[i] = FuzzValues.Number(random, FuzzedMachine.RamLength);
        }

        // Numbers of hypercalls and commands are small.
        registers[GuestCall.Rax] = random.Next(2) == 0 ? (ulong)random.Next(64) : registers[GuestCall.Rax];
        registers[GuestCall.Rcx] = random.Next(2) == 0 ? (ulong)(random.Next(0x110) + (random.Next(4) << 16)) : registers[GuestCall.Rcx];
        if (random.Next(2) == 0)
        {
            // VMware's port wants its number first; the most of what it does is messages.
            const ulong Magic = 0x564d_5868;
            const ulong Message = 30;
            registers[GuestCall.Rax] = personality.PortCount > 0 ? Magic : registers[GuestCall.Rax];
            registers[GuestCall.Rcx] = personality.PortCount > 0 && random.Next(4) != 0 ? Message | ((ulong)random.Next(8) << 16) : registers[GuestCall.Rcx];
            registers[GuestCall.Rbx] = random.Next(3) switch { 0 => 0x4943_5052, 1 => 0x4f4c_4354, _ => (ulong)random.Next(64) };
            registers[GuestCall.Rdx] = personality.PortCount > 0 ? (ulong)random.Next(9) << 16 : registers[GuestCall.Rdx];
        }
        else if (random.Next(2) == 0 && personality.PortCount > 1)
        {
            // Its balloon.
            registers[GuestCall.Rax] = 0x456c_6d6f;
            registers[GuestCall.Rcx] = (ulong)random.Next(9);
            registers[GuestCall.Rbx] = random.Next(2) == 0 ? (ulong)random.Next(4096) : registers[GuestCall.Rbx];
            registers[GuestCall.Rsi] = (ulong)random.Next(600);
        }

        else if (random.Next(3) == 0)
        {
            // Hyper-V's lists and sets.
            ReadOnlySpan<ulong> codes = [2, 3, 0x13, 0x14, 0x50, 0x51, 0x8001, 0x8003];
            registers[GuestCall.Rcx] = codes[random.Next(codes.Length)] | ((ulong)random.Next(2) << 16) | ((ulong)random.Next(3) << 17) | ((ulong)random.Next(40) << 32) | ((ulong)random.Next(8) << 48);
            registers[GuestCall.Rdx] &= ~7UL;
            registers[GuestCall.R8] &= ~7UL;
        }

        GuestCall call = new(processor, registers, random.Next(4) == 0 ? 3 : 0, random.Next(2) == 0);
        uint register = Registers[random.Next(Registers.Length)] + (uint)random.Next(random.Next(2) == 0 ? 8 : 0xb8);
        ulong time = (ulong)random.NextInt64(1L << 50);
        Span<byte> data = stackalloc byte[4];
        switch (random.Next(5))
        {
            case 0:
                personality.TryReadMsr(processor, time, register, out _);
                machine.Devices.LocalApics[processor].TryReadMsr(register, out _);
                break;
            case 1:
                personality.TryWriteMsr(processor, time, register, registers[5]);
                machine.Devices.LocalApics[processor].TryWriteMsr(register, registers[6]);
                break;
            case 2 when personality.PortCount > 0:
                personality.ReadPort(call, GetPort(personality, random, registers), data[..(1 << random.Next(3))]);
                break;
            case 3 when personality.PortCount > 0:
                personality.WritePort(call, (ushort)(personality.FirstPort + random.Next(personality.PortCount)), data[..(1 << random.Next(3))]);
                break;
            default:
                if (personality.HasHypercalls)
                {
                    personality.TryHypercall(call);
                }

                break;
        }
    }

    private static ushort GetPort(IPersonality personality, Random random, ReadOnlySpan<ulong> registers)
    {
        int last = personality.PortCount - 1;
        return (ushort)(personality.FirstPort + (random.Next(8) == 0 ? random.Next(personality.PortCount) : registers[GuestCall.Rax] == 0x456c_6d6f ? last : 0));
    }
}
