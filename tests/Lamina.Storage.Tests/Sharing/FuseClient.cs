using System.Buffers.Binary;
using System.Text;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;
using Lamina.Storage.Sharing;

namespace Lamina.Storage.Tests.Sharing;

/// <summary>The guest's kernel as far as a shared folder sees it: messages of the protocol, and the answers.</summary>
internal sealed class FuseClient : IFileSystemCompletion, IDisposable
{
    private const int MemoryLength = 1 << 20;
    private const int AnswerAt = 1 << 19;
    private readonly HostBuffer _buffer = new(MemoryLength);
    private readonly GuestMemory _memory;
    private readonly FileSystemRequest _request;
    private uint _written;

    /// <summary>Mounts a folder, or goes on with one that was mounted when <paramref name="state"/> was saved.</summary>
    public FuseClient(string folder, bool readOnly = false, byte[]? state = null, DescriptorShare? share = null)
    {
        _memory = new GuestMemory([new GuestMemoryRegion(0, MemoryLength, _buffer.Vector(0, MemoryLength).Address)]);
        _request = new FileSystemRequest(0, 64, _memory, this);
        Server = FolderServer.Open(folder, readOnly, share ?? DescriptorShare.OfProcess);
        if (state != null)
        {
            Restore(state);
            return;
        }

        byte[] initialize = new byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(initialize, 7);
        BinaryPrimitives.WriteUInt32LittleEndian(initialize.AsSpan(4), 37);
        BinaryPrimitives.WriteUInt32LittleEndian(initialize.AsSpan(12), uint.MaxValue);
        Assert.Equal(0, Send(FuseOperation.Initialize, 0, initialize).Error);
    }

    public FolderServer Server { get; }

    public void OnCompleted(FileSystemRequest request, uint written) => _written = written;

    /// <summary>Sends raw bytes.</summary>
    /// <returns>The raw answer.</returns>
    public byte[] SendRaw(ReadOnlySpan<byte> message, int room = 1 << 17)
    {
        message.CopyTo(_buffer.Bytes);
        // In several parts, cut at odd places.
        int first = Math.Min(message.Length, 23);
        Assert.True(_request.TrySet([_buffer.Guest(0, first), _buffer.Guest(first, message.Length - first)], room == 0 ? [] : [_buffer.Guest(AnswerAt, 16), _buffer.Guest(AnswerAt + 16, room - 16)]));
        Server.Submit(_request);
        Server.Drain();
        return _buffer.Bytes.Slice(AnswerAt, (int)_written).ToArray();
    }

    public (int Error, byte[] Body) Send(FuseOperation operation, ulong node, params byte[][] arguments)
    {
        byte[] body = [.. arguments.SelectMany(a => a)];
        byte[] message = new byte[40 + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(message, message.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4), (uint)operation);
        BinaryPrimitives.WriteUInt64LittleEndian(message.AsSpan(8), 77);
        BinaryPrimitives.WriteUInt64LittleEndian(message.AsSpan(16), node);
        body.CopyTo(message, 40);
        byte[] answer = SendRaw(message);
        Assert.Equal(answer.Length, BinaryPrimitives.ReadInt32LittleEndian(answer));
        Assert.Equal(77UL, BinaryPrimitives.ReadUInt64LittleEndian(answer.AsSpan(8)));
        return (-BinaryPrimitives.ReadInt32LittleEndian(answer.AsSpan(4)), answer[16..]);
    }

    /// <summary>Sends a message that is not answered.</summary>
    public void Tell(FuseOperation operation, ulong node, byte[] arguments)
    {
        byte[] message = new byte[40 + arguments.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4), (uint)operation);
        BinaryPrimitives.WriteUInt64LittleEndian(message.AsSpan(16), node);
        arguments.CopyTo(message, 40);
        Assert.Empty(SendRaw(message, 0));
    }

    public (int Error, ulong Node) Lookup(ulong directory, string name)
    {
        (int error, byte[] body) = Send(FuseOperation.Lookup, directory, Text(name));
        return (error, error == 0 ? BitConverter.ToUInt64(body) : 0);
    }

    public (int Error, ulong Handle) Open(ulong node, int flags, bool directory = false)
    {
        (int error, byte[] body) = Send(directory ? FuseOperation.OpenDirectory : FuseOperation.Open, node, Words((uint)flags, 0));
        return (error, error == 0 ? BitConverter.ToUInt64(body) : 0);
    }

    public (int Error, byte[] Data) Read(ulong node, ulong handle, ulong offset, uint size, FuseOperation operation = FuseOperation.Read)
    {
        return Send(operation, node, Longs(handle, offset), Words(size, 0), Longs(0), Words(0, 0));
    }

    public (int Error, uint Written) Write(ulong node, ulong handle, ulong offset, string text)
    {
        byte[] data = Encoding.UTF8.GetBytes(text);
        (int error, byte[] body) = Send(FuseOperation.Write, node, Longs(handle, offset), Words((uint)data.Length, 0), Longs(0), Words(0, 0), data);
        return (error, error == 0 ? BitConverter.ToUInt32(body) : 0);
    }

    // Its resources are this object's only if all went well.
    private void Restore(byte[] state)
    {
        try
        {
            Server.Restore(state);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public static byte[] Text(string text) => [.. Encoding.UTF8.GetBytes(text), 0];

    public static byte[] Words(params uint[] values) => [.. values.SelectMany(BitConverter.GetBytes)];

    public static byte[] Longs(params ulong[] values) => [.. values.SelectMany(BitConverter.GetBytes)];

    public void Dispose()
    {
        Server.Dispose();
        _memory.Dispose();
        _buffer.Dispose();
    }
}
