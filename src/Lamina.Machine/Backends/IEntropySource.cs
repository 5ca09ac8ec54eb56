namespace Lamina.Machine.Backends;

/// <summary>Where random numbers come from.</summary>
public interface IEntropySource
{
    /// <summary>Fills a buffer with random bytes of cryptographic quality. Any thread; does not wait.</summary>
    void Fill(Span<byte> destination);
}
