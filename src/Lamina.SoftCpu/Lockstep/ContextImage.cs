using System.Globalization;
using System.Runtime.InteropServices;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Lockstep;

/// <summary>A copy of the architectural part of a <see cref="ProcessorContext"/>: what translated code and the interpreter must agree on. One thread.</summary>
internal sealed unsafe class ContextImage : IDisposable
{
    private static readonly string[] Names = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];

    // SAFETY: freed in Dispose.
    private readonly ProcessorContext* _copy = (ProcessorContext*)NativeMemory.AlignedAlloc((nuint)sizeof(ProcessorContext), 64);

    /// <summary>RIP.</summary>
    public ulong Rip => _copy->Rip;

    /// <summary>Copies a context.</summary>
    public void Save(ProcessorContext* c) => Copy(c, _copy);

    /// <summary>Makes a context as it was. Requests of other threads stay, and so does what has been flushed.</summary>
    public void Restore(ProcessorContext* c)
    {
        Copy(_copy, c);
        ProcessorMode.SelectTlb(c);
    }

    /// <summary>What differs, a line each; status flags are left out, because either side may leave dead ones as they are.</summary>
    public List<string> Compare(ContextImage other, string mine, string others)
    {
        ProcessorContext* a = _copy, b = other._copy;
        List<string> lines = [];
        if (new ReadOnlySpan<byte>(&a->SystemFlags, sizeof(uint)).SequenceEqual(new ReadOnlySpan<byte>(&b->SystemFlags, sizeof(uint)))
            && new ReadOnlySpan<ulong>(a->Registers, 16).SequenceEqual(new ReadOnlySpan<ulong>(b->Registers, 16))
            && a->Rip == b->Rip && Rest(a).SequenceEqual(Rest(b)) && Vectors(a).SequenceEqual(Vectors(b)) && X87Words(a) == X87Words(b) && X87(a).SequenceEqual(X87(b)))
        {
            return lines;
        }

        for (int n = 0; n < 16; n++)
        {
            Add(Name(n), a->Registers[n], b->Registers[n]);
        }

        Add("rip", a->Rip, b->Rip);
        Add("system flags", a->SystemFlags, b->SystemFlags);
        Add("mxcsr", a->Mxcsr, b->Mxcsr);
        Add("cpl", a->Cpl, b->Cpl);
        for (int n = 0; n < 16; n++)
        {
            for (int part = 3; part >= 0; part--)
            {
                Add($"ymm{n}[{part}]", ((ulong*)a->Vectors)[(4 * n) + part], ((ulong*)b->Vectors)[(4 * n) + part]);
            }
        }

        Add("x87 words", X87Words(a), X87Words(b));
        Bytes("x87 registers", X87(a), X87(b));
        if (lines.Count == 0)
        {
            Bytes("system registers", Rest(a), Rest(b));
        }

        return lines;

        void Add(string name, ulong left, ulong right)
        {
            if (left != right)
            {
                lines.Add(string.Create(CultureInfo.InvariantCulture, $"{name}: {mine} {left:x}, {others} {right:x}"));
            }
        }

        void Bytes(string name, ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
        {
            int at = left.CommonPrefixLength(right);
            if (at < left.Length)
            {
                lines.Add(string.Create(CultureInfo.InvariantCulture, $"{name} at {at}: {mine} {left[at]:x2}, {others} {right[at]:x2}"));
            }
        }
    }

    /// <summary>The registers, for a person.</summary>
    public IEnumerable<string> Describe()
    {
        List<string> lines = [];
        for (int n = 0; n < 16; n += 4)
        {
            lines.Add(string.Join("  ", Enumerable.Range(n, 4).Select(r => string.Create(CultureInfo.InvariantCulture, $"{Name(r),-3} {_copy->Registers[r]:x16}"))));
        }

        lines.Add(string.Create(CultureInfo.InvariantCulture, $"rip {_copy->Rip:x16}  flags {Flags.Get(_copy):x}  cpl {_copy->Cpl}  cr0 {_copy->Cr0:x}  cr3 {_copy->Cr3:x}  cr4 {_copy->Cr4:x}"));
        lines.Add(string.Create(CultureInfo.InvariantCulture, $"fs {_copy->SegmentBase[SegmentRegister.Fs]:x16}  gs {_copy->SegmentBase[SegmentRegister.Gs]:x16}  mxcsr {_copy->Mxcsr:x}"));
        return lines;
    }

    public void Dispose() => NativeMemory.AlignedFree(_copy);

    private static string Name(int register) => register < Names.Length ? Names[register] : $"r{register}";

    // Everything up to the TLBs, which are no state of the guest's, but for the word that other threads write to.
    private static void Copy(ProcessorContext* from, ProcessorContext* to)
    {
        long first = (byte*)&from->Attention - (byte*)from;
        Buffer.MemoryCopy(from, to, first, first);
        long rest = (byte*)&from->Tlb - (byte*)(&from->Attention + 1);
        Buffer.MemoryCopy(&from->Attention + 1, &to->Attention + 1, rest, rest);
    }

    // Privilege and mode, and every system register.
    private static ReadOnlySpan<byte> Rest(ProcessorContext* c) => new(&c->Segments, (int)((byte*)&c->Tlb - (byte*)&c->Segments));

    private static ReadOnlySpan<byte> Vectors(ProcessorContext* c) => new(c->Vectors, 512);

    // The registers; what follows is scratch. Translated code does not record the last instruction's addresses.
    private static ReadOnlySpan<byte> X87(ProcessorContext* c) => new(c->X87Image + Fpu.X87Image.Registers, 128);

    // Control word, status word, tags.
    private static ulong X87Words(ProcessorContext* c) => *(ulong*)c->X87Image & 0xff_ffff_ffff;
}
