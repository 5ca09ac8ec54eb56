using Lamina.Machine;
using Lamina.Machine.AddressSpaces;

namespace Lamina.Chipset.Tests;

/// <summary>A guest that writes garbage to every register of every device, reads them back, and takes interrupts.</summary>
internal static class RegisterFuzzer
{
    private static readonly int[] s_widths = [1, 2, 4, 8];

    public static void Run(TestBoard board, int seed, int steps)
    {
        Random random = new(seed);
        Span<byte> data = stackalloc byte[8];
        for (int step = 0; step < steps; step++)
        {
            random.NextBytes(data);
            int processor = random.Next(board.Apics.Length);
            ulong value = LittleEndian.Get(data);
            switch (random.Next(8))
            {
                case 0:
                case 1:
                    Access(board.Ports, random, data[..s_widths[random.Next(3)]], portsOnly: true);
                    break;
                case 2:
                    Access(board.Mmio, random, data[..s_widths[random.Next(4)]], portsOnly: false);
                    break;
                case 3:
                    ulong offset = ((ulong)(uint)random.Next(0x42) << 4) | (random.Next(8) == 0 ? (uint)random.Next(16) : 0);
                    board.Apics[processor].WritePage(offset, data[..s_widths[random.Next(4)]]);
                    board.Apics[processor].ReadPage(offset, data[..s_widths[random.Next(4)]]);
                    break;
                case 4:
                    uint msr = random.Next(8) switch { 0 => 0x1b, 1 => 0x6e0, _ => 0x800 + (uint)random.Next(0x42) };
                    board.Apics[processor].TryWriteMsr(msr, random.Next(2) == 0 ? value : value & 0xfee0_0dff);
                    board.Apics[processor].TryReadMsr(msr, out _);
                    break;
                case 5:
                    board.Bus.Send(0xfee0_0000 | (value & 0xf_ffff), (uint)(value >> 32));
                    board.Router.SetLine(random.Next(-1, 26), random.Next(2) == 0);
                    break;
                case 6:
                    if (board.Apics[processor].HasInterrupt)
                    {
                        board.Apics[processor].TryAcknowledge(out _);
                    }

                    board.Apics[processor].TaskPriorityClass = (byte)random.Next(16);
                    board.Uart.Receive(data);
                    break;
                default:
                    ulong time = (ulong)random.Next(1, 3_000_000);
                    if (random.Next(2) == 0)
                    {
                        board.Clock.Advance(time);
                    }
                    else
                    {
                        board.Clock.AdvanceLate(time);
                    }

                    break;
            }
        }
    }

    private static void Access(AddressSpace space, Random random, Span<byte> data, bool portsOnly)
    {
        AddressMapping mapping = space.Mappings[random.Next(space.Mappings.Length)];
        ulong address = mapping.Address + ((ulong)random.NextInt64() % Math.Min(mapping.Length, 0x4000));
        if (random.Next(2) == 0)
        {
            address &= ~3UL;
        }

        if (!portsOnly && random.Next(2) == 0)
        {
            address = mapping.Address + ((ulong)random.Next(0x200) & ~3UL);
        }

        if (random.Next(3) != 0)
        {
            space.Write(address, data);
        }

        space.Read(address, data);
    }
}
