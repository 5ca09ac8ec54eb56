using System.Runtime.InteropServices;
using Lamina.Machine.Memory;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Fpu;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Tests.Machines;

namespace Lamina.SoftCpu.Tests.Fpu;

/// <summary>A processor whose paging maps two pages of its RAM at their own host addresses, so that an instruction means the same natively.</summary>
internal sealed unsafe class GuestMachine : IDisposable
{
    public const ProcessorFeatures AllFeatures = (ProcessorFeatures)ulong.MaxValue;

    /// <summary>Where <see cref="MapLow"/> maps the pages.</summary>
    public const ulong LowLinear = 0x1_0000;

    /// <summary>The pages' guest-physical address.</summary>
    public const ulong Pages = 0x8000;

    private const ulong Tables = 0x1000;
    private const ulong LeafTables = 0x4000;
    private const ulong LowTables = 0x5000;
    private const int RamSize = 0x10000;

    private readonly byte* _ram;
    private readonly GuestMemory _memory;
    private readonly SoftwarePartition _partition;
    private readonly SoftwareProcessor _processor;

    public GuestMachine()
    {
        _ram = (byte*)NativeMemory.AlignedAlloc(RamSize, RamSize);
        new Span<byte>(_ram, RamSize).Clear();
        _memory = new GuestMemory([new GuestMemoryRegion(0, RamSize, (nint)_ram)]);
        _partition = new SoftwarePartition(TestPartition.Settings(_memory, []));
        _processor = (SoftwareProcessor)_partition.CreateProcessor(0);
        Reset();
    }

    public ProcessorContext* Context => _processor.Context;

    public StubCache Stubs => _partition.Stubs;

    /// <summary>The first of two mapped pages; guest linear addresses are host addresses. The pages around them are not mapped.</summary>
    public byte* Page => _ram + Pages;

    public Span<byte> Memory => new(Page, 8192);

    /// <summary>64-bit mode, CPL 3, all units open, pages readable and writable.</summary>
    public void Reset()
    {
        ProcessorContext* c = Context;
        c->Cr0 = 0x8001_0023;
        c->Cr3 = Tables;
        c->Cr4 = 0x4_0620;
        c->Xcr0 = 7;
        c->Efer = 0x500;
        c->Cpl = 3;
        c->SystemFlags = 2;
        c->Mxcsr = 0x1f80;
        c->Rip = 0x1234_5678;
        for (int n = 0; n < 6; n++)
        {
            c->Segments[n].Base = 0;
            c->Segments[n].Limit = uint.MaxValue;
            c->Segments[n].Attributes = n == SegmentRegister.Cs ? 0xa0fbu : 0xc0f3u;
        }

        ProcessorMode.Update(c);
        X87Image.Initialize(c);
        Map(0, true, true);
        Map(1, true, true);
    }

    /// <summary>Changes the mapping of a page.</summary>
    public void Map(int page, bool present, bool writable)
    {
        ulong linear = (ulong)Page + ((ulong)page << 12);
        ulong table = Tables;
        for (int level = 3; level > 0; level--)
        {
            ulong next = level == 1 ? LeafTables : table + 0x1000;
            *(ulong*)(_ram + table + (((linear >> (12 + (9 * level))) & 511) * 8)) = next | 7;
            table = next;
        }

        ulong entry = (Pages + ((ulong)page << 12)) | 4 | (present ? 1u : 0) | (writable ? 2u : 0);
        *(ulong*)(_ram + table + (((linear >> 12) & 511) * 8)) = entry;
        MemoryUnit.FlushTlb(Context);
    }

    /// <summary>Maps the pages at <see cref="LowLinear"/> as well, for code that has 32-bit addresses.</summary>
    public void MapLow()
    {
        // Host addresses of ours are not in the first 512 GiB.
        *(ulong*)(_ram + Tables) = LowTables | 7;
        *(ulong*)(_ram + LowTables) = (LowTables + 0x1000) | 7;
        *(ulong*)(_ram + LowTables + 0x1000) = (LowTables + 0x2000) | 7;
        *(ulong*)(_ram + LowTables + 0x2000 + ((LowLinear >> 12) * 8)) = Pages | 7;
        *(ulong*)(_ram + LowTables + 0x2000 + ((LowLinear >> 12) * 8) + 8) = (Pages + 0x1000) | 7;
        MemoryUnit.FlushTlb(Context);
    }

    /// <summary>Decodes and binds; false if it is not an instruction of ours.</summary>
    public bool TryBind(ReadOnlySpan<byte> code, out Instruction i, ProcessorFeatures features = AllFeatures, int codeSize = 8)
    {
        byte* buffer = stackalloc byte[16];
        code.CopyTo(new Span<byte>(buffer, 16));
        Instruction decoded;
        if (Decoder.Decode(buffer, code.Length, codeSize, out decoded) != DecodeStatus.Done)
        {
            i = decoded;
            return false;
        }

        Assert.Equal(code.Length, decoded.Length);
        bool bound = VectorBinder.TryBind(&decoded, features, Stubs, codeSize);
        i = decoded;
        Assert.False(bound && i.Handler == null);
        return bound;
    }

    /// <summary>Executes one instruction; null, or the vector of the exception that it raised.</summary>
    public int? Run(ReadOnlySpan<byte> code, int codeSize = 8)
    {
        Assert.True(TryBind(code, out Instruction i, codeSize: codeSize), $"{Convert.ToHexString(code)} is not bound");
        ulong rip = Context->Rip;
        bool done = i.Handler(Context, &i);
        Assert.Equal(rip, Context->Rip);
        return done ? null : Context->FaultVector;
    }

    /// <summary>Loads registers.</summary>
    public void Load(NativeState* state)
    {
        ProcessorContext* c = Context;
        Buffer.MemoryCopy(state->Vectors, c->Vectors, 512, 512);
        for (int n = 0; n < 16; n++)
        {
            c->Registers[n] = state->General[n];
        }

        c->Registers[ProcessorContext.ZeroRegister] = 0;
        Flags.SetStatus(c, (uint)state->Flags);
        c->Mxcsr = state->Mxcsr;
        Buffer.MemoryCopy(state->X87, c->X87Image, 512, X87Image.Length);
    }

    /// <summary>Stores them, with what is not a guest's in the x87 image taken from <paramref name="other"/>.</summary>
    public void Store(NativeState* state, NativeState* other)
    {
        ProcessorContext* c = Context;
        *state = *other;
        Buffer.MemoryCopy(c->Vectors, state->Vectors, 512, 512);
        for (int n = 0; n < 16; n++)
        {
            state->General[n] = c->Registers[n];
        }

        state->Flags = (other->Flags & ~(ulong)Flags.Status) | Flags.GetStatus(c);
        state->Mxcsr = c->Mxcsr;
        Buffer.MemoryCopy(c->X87Image, state->X87, 512, 6);
        for (int n = 0; n < 8; n++)
        {
            Buffer.MemoryCopy(X87Image.Register(c, n), state->X87 + 32 + (n * 16), 16, 10);
        }
    }

    public void Dispose()
    {
        _processor.Dispose();
        _partition.Dispose();
        _memory.Dispose();
        NativeMemory.AlignedFree(_ram);
    }
}
