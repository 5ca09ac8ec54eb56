using System.Runtime.InteropServices;
using Lamina.Machine.Memory;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Tests.Machines;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>
/// A processor at CPL 3 in 64-bit or flat 32-bit mode, whose linear, physical and host addresses are the same for one low buffer, so that an
/// instruction can run on it and on the host with the same operands.
/// </summary>
internal sealed unsafe class IntegerMachine : IDisposable
{
    public const int BufferSize = 0x4000;
    private const int TableSize = 0x3000;
    private readonly byte* _tables;
    private readonly LowMemory _buffer = new(BufferSize);
    private readonly GuestMemory _memory;
    private readonly SoftwarePartition _partition;
    private readonly SoftwareProcessor _processor;

    public IntegerMachine(int codeSize)
    {
        _tables = (byte*)NativeMemory.AlignedAlloc(TableSize, 4096);
        new Span<byte>(_tables, TableSize).Clear();
        _memory = new GuestMemory([new GuestMemoryRegion(0, TableSize, (nint)_tables), new GuestMemoryRegion(_buffer.Address, BufferSize, (nint)_buffer.Pointer)]);
        _partition = new SoftwarePartition(TestPartition.Settings(_memory), blockArenaSize: 1 << 20);
        _processor = (SoftwareProcessor)_partition.CreateProcessor(0);
        ProcessorContext* c = _processor.Context;
        c->Cr0 = codeSize == 8 ? 0x8000_0033UL : 0x33;
        if (codeSize == 8)
        {
            *(ulong*)(_tables + 0x1000) = 0x2007;
            for (uint n = 0; n < 4; n++)
            {
                *(ulong*)(_tables + 0x2000 + (n * 8)) = 0xe7 | ((ulong)n << 30);
            }

            c->Cr3 = 0x1000;
            c->Cr4 = 0x20;
            c->Efer = 0x500;
        }

        for (int n = 0; n < 6; n++)
        {
            c->Segments[n] = new SegmentCache { Limit = uint.MaxValue, Attributes = n != SegmentRegister.Cs ? 0xc0f3u : codeSize == 8 ? 0xa0fbu : 0xc0fbu };
        }

        c->Cpl = 3;
        ProcessorMode.Update(c);
        MemoryUnit.FlushTlb(c);
    }

    public ProcessorContext* Context => _processor.Context;

    public Span<byte> Buffer => new(_buffer.Pointer, BufferSize);

    public ulong BufferAddress => _buffer.Address;

    /// <summary>Executes one instruction at an address. Null, or the vector of the exception it raised.</summary>
    public int? Run(ReadOnlySpan<byte> code, ulong address, IntegerState* state)
    {
        ProcessorContext* c = Context;
        for (int n = 0; n < 16; n++)
        {
            c->Registers[n] = state->General[n];
        }

        Flags.Set(c, (uint)state->Flags);
        c->Rip = address;
        byte* bytes = stackalloc byte[16];
        code.CopyTo(new Span<byte>(bytes, 16));
        Instruction i;
        DecodeStatus status = Decoder.Decode(bytes, code.Length, c->CodeSize, out i);
        if (status != DecodeStatus.Done || i.Length != code.Length)
        {
            Assert.Fail($"{Convert.ToHexString(code)} decodes as {status}, length {i.Length}");
        }

        _partition.Bind(&i, c->CodeSize);
        do
        {
            c->Outcome = HandlerOutcome.Continue;
            if (i.Handler(c, &i))
            {
                Save(state);
                return null;
            }
        }
        while (c->Outcome == HandlerOutcome.Yield);

        Save(state);
        return c->FaultVector;
    }

    public void Dispose()
    {
        _processor.Dispose();
        _partition.Dispose();
        _memory.Dispose();
        _buffer.Dispose();
        NativeMemory.AlignedFree(_tables);
    }

    private void Save(IntegerState* state)
    {
        for (int n = 0; n < 16; n++)
        {
            state->General[n] = Context->Registers[n];
        }

        state->Flags = Flags.Get(Context);
    }
}
