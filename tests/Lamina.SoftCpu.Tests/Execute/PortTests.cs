using Lamina.Machine.AddressSpaces;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Segmentation;
using Lamina.SoftCpu.Tests.Machines;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>IN, OUT, INS, OUTS and the flags that guard them: who may (Intel SDM volume 1, section 19.5), which widths a device gets, and breakpoints on ports (volume 3, section 18.2).</summary>
public sealed unsafe class PortTests : IDisposable
{
    private const ushort Port = 0x340;
    private const int Debug = 1;
    private const int Protection = 13;
    private const int PageFault = 14;
    private const int Done = 0x80;
    private const uint MapBase = 0x68;
    private readonly TestMachine _machine = new();
    private readonly ByteDevice _device = new();

    public PortTests() => _machine.Ports.Map("bytes", Port, 8, _device);

    public void Dispose() => _machine.Dispose();

    // A device that knows bytes only is given them one by one, the lowest first.
    [Theory]
    [InlineData("ec", "read 0", 0x1122_33a0UL)]
    [InlineData("66ed", "read 0, read 1", 0x1122_a1a0UL)]
    [InlineData("ed", "read 0, read 1, read 2, read 3", 0xa3a2_a1a0UL)]
    [InlineData("ee", "write 0 44", 0x1122_3344UL)]
    [InlineData("66ef", "write 0 44, write 1 33", 0x1122_3344UL)]
    [InlineData("ef", "write 0 44, write 1 33, write 2 22, write 3 11", 0x1122_3344UL)]
    public void Widths(string code, string log, ulong rax)
    {
        _machine.EnterLong(0);
        _machine.Context->Registers[0] = 0x1122_3344;
        _machine.Context->Registers[2] = Port;
        Assert.Equal(Done, Run(0, code));
        Assert.Equal((log, rax), (string.Join(", ", _device.Log), _machine.Context->Registers[0]));
    }

    // By IOPL, else by the task's map, whose bit must be clear for each port.
    [Theory]
    [InlineData(0, 0xff, true)]
    [InlineData(1, 0xff, false)]
    [InlineData(3, 0xff, true)]
    [InlineData(0, 0x00, true)]
    public void PrivilegeInProtectedMode(int iopl, byte map, bool kernelOrMap)
    {
        foreach (string code in (ReadOnlySpan<string>)["ec", "ee", "6c", "6e", "e440", "e640", "fa", "fb"])
        {
            bool usesMap = code is not ("fa" or "fb");
            bool allowed = iopl == 3 || (usesMap && map == 0);
            Prepare(3, iopl, map);
            Assert.Equal((code, allowed ? Done : Protection), (code, Run(3, code)));
            Prepare(0, iopl, map);
            Assert.Equal((code, Done), (code, Run(0, code)));
        }

        Assert.True(kernelOrMap || iopl == 1);
    }

    // Of a wider access all ports must be allowed.
    [Theory]
    [InlineData(0x00, Done)]
    [InlineData(0x08, Protection)]
    [InlineData(0x10, Done)]
    public void MapOfSeveralPorts(byte map, int expected)
    {
        Prepare(3, 0, map);
        Assert.Equal(expected, Run(3, "ed"));
    }

    // Virtual-8086 mode: ports by the map alone, the interrupt flag by IOPL (Intel SDM volume 3, section 21.2).
    [Theory]
    [InlineData(0, 0x00, "ec", true)]
    [InlineData(3, 0xff, "ec", false)]
    [InlineData(3, 0x00, "ee", true)]
    [InlineData(0, 0x00, "fa", false)]
    [InlineData(0, 0x00, "fb", false)]
    [InlineData(3, 0x00, "fa", true)]
    [InlineData(3, 0x00, "fb", true)]
    [InlineData(2, 0x00, "9c", false)]
    [InlineData(2, 0x00, "9d", false)]
    [InlineData(2, 0x00, "cf", false)]
    [InlineData(3, 0x00, "9c", true)]
    [InlineData(3, 0x00, "9d", true)]
    public void Virtual8086Mode(int iopl, byte map, string code, bool allowed)
    {
        Prepare(0, 0, map);
        ProcessorContext* c = _machine.Context;
        for (int n = 0; n < 6; n++)
        {
            SegmentLoader.FillVirtual8086(ref c->Segments[n], (ushort)(Layout.Code >> 4));
        }

        c->Cpl = 3;
        c->Registers[4] = 0x800;
        Flags.Set(c, 2u | Flags.Virtual8086 | ((uint)iopl << 12));
        ProcessorMode.Update(c);
        _machine.Load(Layout.Code, [.. Convert.FromHexString(code), 0xf4]);

        // HLT is refused in either case, behind the instruction or at its address.
        Assert.Equal(Protection, _machine.Run(0));
        Assert.Equal(allowed ? (ulong)code.Length / 2 : 0, _machine.At<uint>(c->Registers[4] + 4));
    }

    [Theory]
    [InlineData("ec", 0, 0, true)]
    [InlineData("ee", 0, 0, true)]
    [InlineData("ec", 1, 0, false)]
    [InlineData("ed", 3, 0, true)]
    [InlineData("ec", 3, 3, true)]
    [InlineData("6c", 0, 0, true)]
    public void Breakpoints(string code, int offset, int length, bool hits)
    {
        foreach (bool extensions in (ReadOnlySpan<bool>)[true, false])
        {
            _machine.EnterLong(0);
            ProcessorContext* c = _machine.Context;
            c->Registers[2] = Port;
            c->Registers[7] = TestMachine.Frames;
            c->Cr4 |= extensions ? 8u : 0;
            c->DebugAddress[1] = Port + (ulong)offset;

            // Two breakpoints: a data one, which ports do not hit, and that on the port.
            c->DebugAddress[0] = Port;
            c->Dr7 = 0x400 | 1 | (3UL << 16) | (1UL << 2) | (2UL << 20) | ((ulong)length << 22);
            DebugUnit.Update(c);
            Assert.Equal(hits && extensions ? Debug : Done, Run(0, code));
            Assert.Equal(hits && extensions ? 2UL : 0, c->Dr6 & 0xf);
            c->Dr7 = 0x400;
            c->Dr6 = DebugUnit.Dr6Fixed;
            DebugUnit.Update(c);
        }
    }

    // The operand's page is looked at before the port is read.
    [Theory]
    [InlineData("6c", "")]
    [InlineData("6e", "")]
    [InlineData("f36c", "")]
    [InlineData("f36e", "")]
    public void StringsFaultBeforeTheyTouchThePort(string code, string log)
    {
        _machine.EnterLong(0);
        ulong page = _machine.Map(0, 0);
        _machine.Context->Registers[1] = 3;
        _machine.Context->Registers[2] = Port;
        _machine.Context->Registers[6] = page;
        _machine.Context->Registers[7] = page;
        Assert.Equal(PageFault, Run(0, code));
        Assert.Equal((log, 3UL, page), (string.Join(", ", _device.Log), _machine.Context->Registers[1], _machine.Context->Cr2));
    }

    private void Prepare(byte cpl, int iopl, byte map)
    {
        _machine.EnterProtected(cpl);
        ProcessorContext* c = _machine.Context;
        c->Registers[2] = Port;
        c->Registers[6] = TestMachine.UserStack;
        c->Registers[7] = TestMachine.UserStack;
        c->SystemFlags = 2 | ((uint)iopl << 12);
        _machine.At<ushort>(Layout.Task + 0x66) = (ushort)MapBase;
        _machine.At<ushort>(Layout.Task + MapBase + (Port >> 3)) = map;
        _machine.At<ushort>(Layout.Task + MapBase + (0x40 >> 3)) = map;
    }

    private int Run(int cpl, string code)
    {
        uint address = cpl == 0 ? Layout.Code : TestMachine.UserCode;

        // At CPL 3 the end is an INT through a gate of its own, which protected mode's table has too.
        _machine.Load(address, [.. Convert.FromHexString(code), 0xcd, _machine.Context->LongMode ? (byte)Done : (byte)30]);
        int vector = _machine.Run(address);
        return vector == 30 ? Done : vector;
    }

    private sealed class ByteDevice : IRegisterWindow
    {
        public List<string> Log { get; } = [];

        public AccessResult Read(ulong offset, Span<byte> data)
        {
            if (data.Length != 1)
            {
                return AccessResult.BadWidth;
            }

            Log.Add($"read {offset}");
            data[0] = (byte)(0xa0 + offset);
            return AccessResult.Done;
        }

        public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (data.Length != 1)
            {
                return AccessResult.BadWidth;
            }

            Log.Add($"write {offset} {Convert.ToHexString(data)}");
            return AccessResult.Done;
        }
    }
}
