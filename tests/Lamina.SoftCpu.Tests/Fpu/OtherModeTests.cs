using System.Buffers.Binary;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Fpu;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Tests.Fpu;

/// <summary>16- and 32-bit code: what differs from 64-bit mode. RAM is reached through a data segment with a base.</summary>
public sealed unsafe class OtherModeTests : IDisposable
{
    private readonly GuestMachine _guest = new();

    private ProcessorContext* Context => _guest.Context;

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void VexWIsIgnoredForGeneralRegisters()
    {
        Enter(4);
        Context->Registers[1] = 0xffff_ffff_0000_00f0;
        Context->Registers[2] = 0x0000_0001_0000_0033;

        // andn eax, ecx, edx with W
        Assert.Null(_guest.Run([0xc4, 0xe2, 0xf0, 0xf2, 0xc2], 4));
        Assert.Equal(0x03UL, Context->Registers[0]);

        // vmovq's encoding is vmovd
        Assert.Null(_guest.Run([0xc4, 0xe1, 0xf9, 0x6e, 0xc2], 4));
        Assert.Equal(0x33UL, *(ulong*)Context->Vectors);
    }

    [Fact]
    public void SixteenBitOperands()
    {
        Enter(2);
        Context->Registers[0] = 0xaaaa_0000;
        Context->Registers[1] = 0xffff_00ff;
        Assert.Null(_guest.Run([0xf3, 0x0f, 0xb8, 0xc1], 2)); // popcnt ax, cx
        Assert.Equal(0xaaaa_0008UL, Context->Registers[0]);
        Assert.Null(_guest.Run([0x66, 0xf3, 0x0f, 0xb8, 0xc1], 2)); // popcnt eax, ecx
        Assert.Equal(24UL, Context->Registers[0]);
        Assert.Null(_guest.Run([0xf3, 0x0f, 0x2a, 0xc1], 2)); // cvtsi2ss xmm0, ecx
        Assert.Equal(-65281f, *(float*)Context->Vectors);
    }

    [Fact]
    public void ByteRegistersOfCrc32()
    {
        Context->Registers[0] = 0;
        Context->Registers[2] = 0x1234_5600;
        Assert.Null(_guest.Run([0xf2, 0x0f, 0x38, 0xf0, 0xc6])); // crc32 eax, dh
        ulong high = Context->Registers[0];
        Context->Registers[0] = 0;
        Context->Registers[6] = 0x56;
        Assert.Null(_guest.Run([0xf2, 0x40, 0x0f, 0x38, 0xf0, 0xc6])); // crc32 eax, sil
        Assert.Equal(high, Context->Registers[0]);
        Assert.NotEqual(0UL, high);
    }

    [Fact]
    public void EightRegisters()
    {
        Enter(4);
        Context->Cr4 |= 0x200;
        _guest.Memory.Fill(0x77);
        new Span<byte>(Context->Vectors, 512).Fill(0x11);
        Context->Registers[3] = 0;
        Assert.Null(_guest.Run([0x0f, 0xae, 0x03], 4)); // fxsave
        Assert.Equal(0x11, _guest.Memory[160 + 127]);
        Assert.Equal(0x77, _guest.Memory[160 + 128]);
        Assert.Null(_guest.Run([0xc5, 0xfc, 0x77], 4)); // vzeroall
        Assert.Equal(0, Context->Vectors[255]);
        Assert.Equal(0x11, Context->Vectors[256]);
        Assert.Null(_guest.Run([0x0f, 0xae, 0x0b], 4)); // fxrstor
        Assert.Equal(0x11, Context->Vectors[0]);
        Assert.Equal(0, Context->Vectors[16]);
    }

    [Theory]
    [InlineData(true, 4)]
    [InlineData(true, 2)]
    [InlineData(false, 4)]
    [InlineData(false, 2)]
    public void EnvironmentFormats(bool isProtected, int codeSize)
    {
        Enter(codeSize);
        if (!isProtected)
        {
            Context->Cr0 &= ~0x8000_0001UL;
            Context->Efer = 0;
            Context->Segments[SegmentRegister.Ds].Base = GuestMachine.Pages;
            MemoryUnit.FlushTlb(Context);
            ProcessorMode.Update(Context);
        }

        X87Image.SetStatus(Context, 0x2800);
        X87Image.SetControl(Context, 0x27f);
        X87Image.AbridgedTags(Context) = 0x60;
        *(ulong*)X87Image.Register(Context, 0) = 1UL << 63;
        *(ushort*)(X87Image.Register(Context, 0) + 8) = 0x3fff;
        X87Image.InstructionAddress(Context) = 0xabcde;
        X87Image.DataAddress(Context) = 0x54321;
        X87Image.Opcode(Context) = 0x543;
        _guest.Memory.Fill(0x77);
        Context->Registers[3] = 0;
        byte modRm = codeSize == 2 ? (byte)0x37 : (byte)0x33;
        Assert.Null(_guest.Run([0xd9, modRm], codeSize)); // fnstenv [bx]
        Span<byte> memory = _guest.Memory;
        int step = codeSize;
        int length = codeSize * 7;
        Assert.Equal(0x77, memory[length]);
        Assert.Equal(0x27f, Word(0));
        Assert.Equal(0x2800, Word(step));
        Assert.Equal(0xc3ff | (1 << 12), Word(2 * step));
        if (isProtected)
        {
            Assert.Equal(codeSize == 2 ? 0xbcdeu : 0xabcdeu, codeSize == 2 ? Word(6) : BinaryPrimitives.ReadUInt32LittleEndian(memory[12..]));
            Assert.Equal(codeSize == 2 ? 0u : 0x0543_0000u, codeSize == 2 ? Word(8) : BinaryPrimitives.ReadUInt32LittleEndian(memory[16..]));
        }
        else
        {
            Assert.Equal(0xbcde, Word(3 * step));
            Assert.Equal(0xa543, Word(4 * step));
            Assert.Equal(0x4321, Word(5 * step));
            Assert.Equal(0x5000, Word(6 * step));
        }

        Assert.Equal(0x27f | 0x3f, X87Image.Control(Context));
        X87Image.Initialize(Context);
        Assert.Null(_guest.Run([0xd9, (byte)(modRm - 0x10)], codeSize)); // fldenv
        Assert.Equal(0x2800, X87Image.Status(Context));
        Assert.Equal(0x27f, X87Image.Control(Context));
        Assert.Equal(0x60, X87Image.AbridgedTags(Context));
        Assert.Equal(0x3fff, *(ushort*)(X87Image.Register(Context, 0) + 8));
        if (!isProtected)
        {
            Assert.Equal(0xabcdeUL, X87Image.InstructionAddress(Context));
            Assert.Equal(0x54321UL, X87Image.DataAddress(Context));
            Assert.Equal(0x543, X87Image.Opcode(Context));
        }

        ushort Word(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(_guest.Memory[offset..]);
    }

    // The pages lie above 4 GiB: paging maps them at 32-bit addresses too.
    private void Enter(int codeSize)
    {
        _guest.MapLow();
        for (int n = 0; n < 6; n++)
        {
            Context->Segments[n].Attributes = (n == SegmentRegister.Cs ? 0x80fbu : 0x80f3u) | (codeSize == 4 ? 0x4000u : 0);
        }

        Context->Segments[SegmentRegister.Ds].Base = GuestMachine.LowLinear;
        ProcessorMode.Update(Context);
        Assert.Equal(codeSize, Context->CodeSize);
    }
}
