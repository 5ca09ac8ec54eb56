using Lamina.Interop.Threading;

namespace Lamina.Interop.Tests.Threading;

public sealed class WakeEventTests
{
    [Fact]
    public void ASetBeforeTheWaitIsKeptAndUsedUpByIt()
    {
        WakeEvent wake = new();
        wake.Set();
        wake.Set();
        wake.Wait();
        Assert.False(wake.Wait(TimeSpan.Zero));
        wake.Set();
        wake.Clear();
        Assert.False(wake.Wait(TimeSpan.FromMilliseconds(1)));
    }

    [Fact]
    public void NoSetIsLostBetweenTwoThreads()
    {
        const int Rounds = 20_000;
        WakeEvent ping = new();
        WakeEvent pong = new();
        Thread other = new(() =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                ping.Wait();
                pong.Set();
            }
        });
        other.Start();
        for (int i = 0; i < Rounds; i++)
        {
            ping.Set();
            Assert.True(pong.Wait(TimeSpan.FromSeconds(30)));
        }

        other.Join();
    }
}
