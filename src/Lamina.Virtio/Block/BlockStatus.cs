namespace Lamina.Virtio.Block;

/// <summary>The last byte of a request (virtio 1.2, section 5.2.6).</summary>
internal enum BlockStatus : byte
{
    Ok = 0,
    InputOutputError = 1,
    Unsupported = 2,
}
