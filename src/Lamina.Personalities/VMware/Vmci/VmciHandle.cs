using System.Buffers.Binary;

namespace Lamina.Personalities.VMware.Vmci;

/// <summary>Names something: a context, such as the guest, and a resource of its own (struct vmci_handle).</summary>
internal readonly record struct VmciHandle(uint Context, uint Resource)
{
    /// <summary>The context of the hypervisor itself.</summary>
    internal const uint Hypervisor = 0;

    /// <summary>The context of the host's sockets.</summary>
    internal const uint Host = 2;

    /// <summary>Bytes of it.</summary>
    internal const int Length = 8;

    internal static VmciHandle Read(ReadOnlySpan<byte> bytes) => new(BinaryPrimitives.ReadUInt32LittleEndian(bytes), BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]));

    internal void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Context);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], Resource);
    }
}
