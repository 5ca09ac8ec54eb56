namespace Lamina.Machine.Memory;

/// <summary>Told of writes to pages that carry <see cref="PageAttributes.Code"/>.</summary>
public interface ICodeInvalidator
{
    /// <summary>
    /// Drops everything made from the guest-physical bytes <paramref name="address"/> .. +<paramref name="length"/>.
    /// Called after the bytes have changed, on any thread.
    /// </summary>
    void InvalidateCode(ulong address, ulong length);
}
