import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.index.mapper.MapperExtrasPlugin;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.reindex.ReindexPlugin;
import org.elasticsearch.transport.Netty4Plugin;

/** One Elasticsearch node in the foreground: {@code ElasticsearchNode FOLDER}, which holds config/elasticsearch.yml. */
public final class ElasticsearchNode extends Node {
    private static final String NAME = "polystream";

    private ElasticsearchNode(final Environment environment) {
        super(environment, List.of(Netty4Plugin.class, ReindexPlugin.class, MapperExtrasPlugin.class), false);
    }

    public static void main(final String[] arguments) throws Exception {
        final Path folder = Path.of(arguments[0]);
        final Settings home = Settings.builder().put("path.home", folder.toString()).build();
        final Environment environment =
                InternalSettingsPreparer.prepareEnvironment(home, Map.of(), folder.resolve("config"), () -> NAME);
        LogConfigurator.setNodeName(NAME);
        LogConfigurator.configure(environment);
        final Node node = new ElasticsearchNode(environment);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
        node.start();
        Thread.currentThread().join();
    }

    private static void close(final Node node) {
        try {
            node.close();
        } catch (final IOException error) {
            error.printStackTrace();
        }
    }
}
