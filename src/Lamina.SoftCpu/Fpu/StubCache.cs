using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Lamina.Interop.Memory;
using Lamina.SoftCpu.Emit;

namespace Lamina.SoftCpu.Fpu;

/// <summary>
/// The native stubs of one partition, by normalised encoding. Thread-safe. Stubs stay until the cache is disposed; since encodings are normalised to fixed
/// registers they are finite (under 10 MiB if a guest uses every form with every immediate), usually some hundred.
/// </summary>
internal sealed unsafe class StubCache : IDisposable
{
    private const int RegionSize = 4 << 20;
    private const int HostMxcsr = 0x1f80;
    private const int FirstStub = 64;

    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, nint> _stubs = [];
    private readonly List<ExecutableMemory> _regions = [];
    private readonly bool _strict;
    private int _used;

    /// <summary>Makes an empty cache.</summary>
    /// <param name="strict">No page of it is writable and executable through one mapping.</param>
    public StubCache(bool strict = false)
    {
        _strict = strict;
        AddRegion();
    }

    /// <summary>Stubs made.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _stubs.Count;
            }
        }
    }

    /// <summary>The stub of a vector instruction.</summary>
    public nint Vector(in VectorForm form)
    {
        byte* code = stackalloc byte[StubEmitter.MaximumLength];
        CodeWriter key = new(new Span<byte>(code, 8));
        VectorEncoder.Write(ref key, form);
        ulong hash = Pack(new ReadOnlySpan<byte>(code, key.Length));
        if (form.Row.ImmediateRegister)
        {
            // The register itself is not in the normalised encoding, which is a VEX one of 6 bytes.
            hash |= (ulong)(form.Immediate >> 4) << 56;
        }

        lock (_lock)
        {
            if (!_stubs.TryGetValue(hash, out nint stub))
            {
                CodeWriter w = new(new Span<byte>(code, StubEmitter.MaximumLength));
                StubEmitter.Vector(ref w, form, HostMxcsrAddress);
                stub = Add(hash, new ReadOnlySpan<byte>(code, w.Length));
            }

            return stub;
        }
    }

    /// <summary>The stub of an x87 instruction: opcode D8 to DF and a ModRM byte, whose memory form is [RSI].</summary>
    public nint X87(byte opcode, byte modRm)
    {
        // No vector encoding begins with D8 to DF.
        ulong hash = opcode | ((ulong)modRm << 8);
        lock (_lock)
        {
            if (!_stubs.TryGetValue(hash, out nint stub))
            {
                byte* code = stackalloc byte[StubEmitter.MaximumLength];
                CodeWriter w = new(new Span<byte>(code, StubEmitter.MaximumLength));
                StubEmitter.X87(ref w, opcode, modRm);
                stub = Add(hash, new ReadOnlySpan<byte>(code, w.Length));
            }

            return stub;
        }
    }

    /// <summary>Unmaps all stubs. No processor may be running.</summary>
    public void Dispose()
    {
        foreach (ExecutableMemory region in _regions)
        {
            region.Dispose();
        }

        _regions.Clear();
    }

    private nint HostMxcsrAddress => (nint)_regions[^1].ExecutePointer;

    private static ulong Pack(ReadOnlySpan<byte> bytes)
    {
        Span<byte> all = stackalloc byte[8];
        all.Clear();
        bytes.CopyTo(all);
        return MemoryMarshal.Read<ulong>(all);
    }

    private nint Add(ulong hash, ReadOnlySpan<byte> code)
    {
        if (_used + StubEmitter.MaximumLength > RegionSize)
        {
            AddRegion();
        }

        // SAFETY: the bounds were checked. The bytes were never executed, so that no processor holds them in its pipeline.
        ExecutableMemory region = _regions[^1];
        code.CopyTo(new Span<byte>(region.WritePointer + _used, StubEmitter.MaximumLength));
        nint stub = (nint)(region.ExecutePointer + _used);
        _used = (_used + code.Length + 15) & ~15;
        _stubs.Add(hash, stub);
        return stub;
    }

    private void AddRegion()
    {
        void* near = _regions.Count == 0 ? null : _regions[^1].ExecutePointer;
        ExecutableMemory region = ExecutableMemory.Map(RegionSize, _strict, near);
        _regions.Add(region);
        Unsafe.WriteUnaligned(region.WritePointer, HostMxcsr);
        _used = FirstStub;
    }
}
