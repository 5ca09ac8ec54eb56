using System.Runtime.InteropServices;
using Lamina.Boot.Layout;
using Lamina.Machine.Memory;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Tests.Images;

/// <summary>RAM of a small machine, with what a boot left in it.</summary>
internal sealed unsafe class TestMemory : IDisposable
{
    private readonly void* _host;

    public TestMemory(ulong size = 64UL << 20)
    {
        Layout = new MachineLayout(size);
        _host = NativeMemory.AllocZeroed((nuint)size);
        Memory = new GuestMemory(Layout.CreateRegions((nint)_host));
    }

    public MachineLayout Layout { get; }

    public GuestMemory Memory { get; }

    public ProcessorState State { get; } = new();

    public BootLoader Boot(BootSource source, ulong rootPointer = 0)
    {
        BootLoader loader = new(source, Layout);
        loader.Load(Memory, rootPointer);
        loader.SetEntryState(State);
        return loader;
    }

    public T Read<T>(ulong address)
        where T : unmanaged
    {
        Assert.True(Memory.TryRead(address, out T value));
        return value;
    }

    public byte[] ReadBytes(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        Assert.True(Memory.TryRead(address, bytes));
        return bytes;
    }

    public string ReadText(ulong address)
    {
        byte[] bytes = ReadBytes(address, 4096);
        return System.Text.Encoding.UTF8.GetString(bytes, 0, Array.IndexOf(bytes, (byte)0));
    }

    public void Dispose()
    {
        Memory.Dispose();
        NativeMemory.Free(_host);
    }
}
