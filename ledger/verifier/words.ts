/**
 * What the verifier says, in Chinese: each of its sentences with gaps. The English stays what is tested, signed off and quoted; a sentence without a
 * translation is shown as it is.
 */

type Row = readonly [english: string, chinese: string];

const sentences: readonly Row[] = [
  [
    '{0}: {1} was answered for purpose {2}, recorded {3}, entry {4}, resting on no Consent.',
    '{0}：{1} 以 {2} 为目的查阅并得到应答，记录于 {3}，日志第 {4} 条，未依据任何知情同意。',
  ],
  [
    '{0}: {1} was answered for purpose {2}, recorded {3}, entry {4}, resting on {5}.',
    '{0}：{1} 以 {2} 为目的查阅并得到应答，记录于 {3}，日志第 {4} 条，依据 {5}。',
  ],
  ['{0}: {1} was refused for purpose {2}, recorded {3}, entry {4}.', '{0}：{1} 以 {2} 为目的的请求被拒绝，记录于 {3}，日志第 {4} 条。'],
  ['{0}: {1} wrote for purpose {2}, recorded {3}, entry {4}.', '{0}：{1} 以 {2} 为目的写入，记录于 {3}，日志第 {4} 条。'],
  ['{0}: {1} broke the glass for purpose {2}, recorded {3}, entry {4}.', '{0}：{1} 以 {2} 为目的启用紧急访问，记录于 {3}，日志第 {4} 条。'],
  [
    '{0} of {1}, status {2}, exactly these bytes: logged as {3} at entry {4}, {5}. Its exact terms were signed by {6}, whose keys had been registered in the log before.',
    '{1} 的 {0}，状态 {2}，逐字节一致：以 {3} 记入日志第 {4} 条，{5}。其确切条款由 {6} 签名，所用公钥此前已在日志中登记。',
  ],
  [
    '{0} of {1}, status {2}, exactly these bytes: logged as {3} at entry {4}, {5}.',
    '{1} 的 {0}，状态 {2}，逐字节一致：以 {3} 记入日志第 {4} 条，{5}。',
  ],
  [
    'All of this stood in the log {0} when it had {1} entries, under a checkpoint signed by {2}.',
    '以上各项均在日志 {0} 之中，当时该日志共有 {1} 条，其检查点由 {2} 签名。',
  ],
  [
    'This stood in the log {0} when it had {1} entries, under a checkpoint signed by {2}.',
    '此项在日志 {0} 之中，当时该日志共有 {1} 条，其检查点由 {2} 签名。',
  ],
  [
    'This key took the place of {0}: each was named by the one before, and the log says so.',
    '此公钥取代了 {0}：每一把都由前一把指定，且已记入日志。',
  ],
  [
    'It was signed with {0} as well, which you pinned: whoever has the log’s other key alone cannot have made it.',
    '它还由您所指定的 {0} 签名：仅持有该日志另一把密钥者无法伪造。',
  ],
  [
    'That the log has a key {0}, with which the checkpoint is signed as well: it was not pinned (--trust).',
    '检查点另一签名所用的 {0} 是该日志的公钥：您没有指定它。',
  ],
  [
    'The first {0} entries of the log, what is proven here among them, are entry {1} of the aggregate {2}, under its checkpoint of {3} entries signed by {4}.',
    '该日志的前 {0} 条（此处所证各项均在其中）是汇总日志 {2} 的第 {1} 条，其检查点共有 {3} 条，由 {4} 签名。',
  ],
  [
    'That nobody was shown another log: the aggregate that holds this one is not one you pinned (--aggregate).',
    '没有人被出示过另一份日志：收录此日志的汇总日志，其公钥未经您指定（--aggregate）。',
  ],
  [
    'That the aggregate’s root is in EVM chain {0}, as it says: transaction {1} in block {2}, contract {3}. Any node of that chain can tell (--rpc).',
    '汇总日志的根确如其所述已写入 EVM 链 {0}：区块 {2} 中的交易 {1}，合约 {3}。该链的任一节点均可查明（--rpc）。',
  ],
  [
    'When the aggregate’s checkpoint existed: the time-stamp in it is to be held against its authority’s certificates (--authority).',
    '汇总日志的检查点何时已存在：其中的时间戳须以签发机构的证书核对（--authority）。',
  ],
  [
    'That the root over the log’s first {0} entries is in EVM chain {1}, as the log says: transaction {2} in block {3}, contract {4}. Any node of that chain can tell (--rpc).',
    '该日志前 {0} 条的根确如日志所述已写入 EVM 链 {1}：区块 {3} 中的交易 {2}，合约 {4}。该链的任一节点均可查明（--rpc）。',
  ],
  [
    'When the log’s first {0} entries existed: the time-stamp in it is to be held against its authority’s certificates (--authority).',
    '该日志的前 {0} 条何时已存在：其中的时间戳须以签发机构的证书核对（--authority）。',
  ],
  ['That nobody was shown another log: the chain was not asked (--rpc).', '没有人被出示过另一份日志：尚未向该链查询（--rpc）。'],
  [
    'That nobody was shown another log: the contract that holds this one is not one you pinned (a line `anchor` of --trust).',
    '没有人被出示过另一份日志：写入此日志的合约不是您所指定的（信任策略中的 `anchor` 行）。',
  ],
  ['That nobody was shown another log: time-stamps can be had for any number of them.', '没有人被出示过另一份日志：时间戳可为任意多份日志签发。'],
  ['As the one history of that log it was cosigned by {0}.', '作为该日志的唯一历史，已由下列见证方联署：{0}。'],
  ['Entry {0} about {1} was erased for ever: logged as entry {2}, {3}.', '关于 {1} 的第 {0} 条已被永久删除：此删除记入日志第 {2} 条，{3}。'],
  ['Entries {0} about {1} were erased for ever: logged as entry {2}, {3}.', '关于 {1} 的第 {0} 条均已被永久删除：此删除记入日志第 {2} 条，{3}。'],
  ['That this is the log you mean: its key was not pinned (--trust).', '这就是您所指的日志：您没有指定其公钥。'],
  [
    'That nobody was shown another log: the checkpoint carries no witness’s signature and no anchor outside the server.',
    '没有人被出示过另一份日志：该检查点既无见证方签名，也未锚定在服务器之外。',
  ],
  [
    'That nobody was shown another log: none of the witnesses is one you pinned (--trust).',
    '没有人被出示过另一份日志：见证方均不在您的信任策略之中。',
  ],
  ['That the times stated are right: they are the server’s own.', '所述时间准确：它们来自服务器自己的时钟。'],
  [
    'That the Consents had not been withdrawn, nor the keys revoked or authorities ended, between their entries and the checkpoint, or since.',
    '自记入日志至该检查点之间，以及此后，这些知情同意未被撤回，公钥未被吊销，代理授权未被终止。',
  ],
  [
    '{0} was in force when {1} was recorded: nothing among the first {2} entries of the log had taken its place; so says the map of Consents, whose root is entry {3}, {4}.',
    '记录 {1} 时 {0} 有效：日志前 {2} 条中没有任何条目取代它；依据为知情同意映射，其根为日志第 {3} 条，{4}。',
  ],
  [
    '{0} was in force when {1} was recorded: what took its place is entry {2}; so says the map of Consents, whose root is entry {3}, {4}.',
    '记录 {1} 时 {0} 有效：取代它的是其后的日志第 {2} 条；依据为知情同意映射，其根为日志第 {3} 条，{4}。',
  ],
  [
    '{0} stood, {1}, as of {2}: nothing among the first {3} entries of the log had taken its place; so says the map of Consents, whose root is entry {4}, {5}.',
    '截至 {2}，{0} 未变，状态为 {1}：日志前 {3} 条中没有任何条目取代它；依据为知情同意映射，其根为日志第 {4} 条，{5}。',
  ],
  [
    '{0}, {1}, was replaced or withdrawn at entry {2}; so says the map of Consents, whose root is entry {3}, {4}.',
    '{0}（状态 {1}）已在日志第 {2} 条被取代或撤回；依据为知情同意映射，其根为日志第 {3} 条，{4}。',
  ],
  [
    'What came after the first {0} entries of the log, and that no key was revoked and no authority ended since it signed.',
    '日志前 {0} 条之后发生的事，以及签名之后公钥未被吊销、代理授权未被终止。',
  ],
  [
    'That the map of Consents leaves out no entry: whoever holds the rows of the log can tell (assent fsck).',
    '知情同意映射没有遗漏条目：持有日志各行者可以查明（assent fsck）。',
  ],
  ['That a custodian signed: a Consent here was signed by the patient alone.', '记录保管方已签名：此处有一份知情同意仅由患者本人签名。'],
  ['That the patient permitted it by a Consent: a built-in policy did.', '患者以知情同意许可了此事：许可来自内置策略。'],
  ['What the bodies sent were: the AuditEvent names the versions, not their content.', '实际发送的内容：审计事件只列出版本，不含内容。'],
  [
    'What the erased entries said: nobody can prove that from the log any more. A receipt made before still does.',
    '被删除条目的内容：任何人都无法再凭日志证明。此前出具的凭证仍可证明。',
  ],
  ['{0}: entries {1} to {2} of the chain about them, none left out between: {3}.', '{0}：关于其本人的链条第 {1} 至 {2} 条，其间无遗漏：{3}。'],
  ['It reaches back to the first entry about them.', '一直追溯到关于其本人的第一条。'],
  ['It names no entry about {0}.', '未列出关于 {0} 的任何条目。'],
  [
    'That there was no newer entry about them then: the receipt of this answer, checked together with it, names the entry before the asking.',
    '当时没有关于其本人的更新条目：此应答的凭证与它一并核对，会列出查询之前的那一条。',
  ],
  ['What is newer: it is in the page before.', '更新的条目：在前一页。'],
  ['What the erased entries said.', '被删除条目的内容。'],
  ['Who acted where the AuditEvent names another person: it is not shown.', '审计事件涉及他人时的行为者：未予显示。'],
  ['{0}, asked for by {1} at {2}: signed as a whole with the log’s key, {3}.', '{0}，由 {1} 于 {2} 请求：整体由日志公钥签名，{3}。'],
  ['That the acts are in the log: without a patient they are the server’s word.', '这些行为在日志之中：未限定患者时，仅为服务器所述。'],
  ['That no act is missing: only the trail of one patient is proven whole.', '没有行为缺失：只有单个患者的记录才能证明完整。'],
  ['Every act of these entries that was asked for is in it, as its AuditEvent says.', '这些条目中所请求的每一行为均在其中，且与其审计事件一致。'],
  ['Acts whose AuditEvent is not shown: who acted and what for is the server’s word.', '未显示审计事件的行为：行为者及目的仅为服务器所述。'],
  ['It holds an act that was not asked for.', '含有未被请求的行为。'],
  ['It holds statements about nobody who was asked for.', '含有并非所请求患者的声明。'],
  ['It tells an act twice.', '同一行为出现两次。'],
  ['The log’s key did not sign this trail.', '日志公钥未签署此记录。'],
  ['A statement in it cannot be read.', '其中一份声明无法读取。'],
  ['A statement in it is about somebody else or of another log.', '其中一份声明关于他人或属于另一份日志。'],
  ['{0} is in none of its statements.', '{0} 不在其任何声明之中。'],
  ['{0} is not told as it was recorded.', '{0} 与所记录的不一致。'],
  ['{0} was left out.', '{0} 被遗漏。'],
  ['Its entries are not all about one subject.', '其中的条目并非都关于同一人。'],
  ['It proves entries that it does not hold.', '它证明了自身并不包含的条目。'],
  ['{0} is no {1}.', '{0} 不是 {1}。'],
  [
    '{0} signed on behalf of {1}, by the patient’s own word: authority {2}, entry {3}.',
    '{0} 依患者本人授权代 {1} 签名：代理授权 {2}，日志第 {3} 条。',
  ],
  [
    '{0} signed on behalf of {1} as {2}, by the word of {3}: authority {4}, entry {5}.',
    '{0} 以 {2} 身份、经 {3} 证明代 {1} 签名：代理授权 {4}，日志第 {5} 条。',
  ],
  ['An authority is not JSON.', '代理授权不是 JSON。'],
  ['An authority is none.', '代理授权无效。'],
  ['An authority’s log entry is of something else.', '代理授权的日志条目属于其他事项。'],
  ['{0} may not grant an authority for {1}.', '{0} 无权为 {1} 作出代理授权。'],
  ['It holds an authority twice.', '同一代理授权出现两次。'],
  ['It holds an authority under which nothing in it was signed.', '含有未据以签署任何内容的代理授权。'],
  ['An AuditEvent is not JSON.', '审计事件不是 JSON。'],
  ['{0} is not the one in the log.', '{0} 与日志中的不同。'],
  ['{0} is not about {1}.', '{0} 与 {1} 无关。'],
  ['Entry {0} has no place in a chain.', '第 {0} 条在链条中没有位置。'],
  ['What came before entry {0} was left out.', '第 {0} 条之前的条目被遗漏。'],
  ['It is not JSON.', '不是 JSON。'],
  ['It is not UTF-8.', '不是 UTF-8 文本。'],
  ['It is compressed, but not whole or not by gzip alone.', '文件经过压缩，但不完整，或并非单纯的 gzip 格式。'],
  ['It is packed, but not whole or not as such files are.', '文件经过打包，但不完整，或不符合此类文件的格式。'],
  ['The file cannot be read.', '无法读取该文件。'],
  ['It is not a receipt of format {0}.', '不是 {0} 格式的凭证。'],
  ['It is too large to be {0}.', '文件过大。'],
  ['It has not exactly the members of {0}.', '其成员与规定的格式不完全一致。'],
  ['It is not written as receipts are.', '其写法与凭证的规定写法不一致。'],
  ['It is about no event and no Consent.', '既无审计事件，也无知情同意。'],
  ['It holds what no log can have hashed.', '含有任何日志都不可能收录的内容。'],
  ['The log’s key is not a verifier key.', '日志公钥无效。'],
  ['A replacement of the log’s key is not signed by both keys.', '日志公钥的更换未由新旧两把公钥共同签署。'],
  ['The log entry of a replacement is of something else.', '更换公钥的日志条目所记的是另一件事。'],
  ['The log’s key was replaced before its old key had ceased to sign.', '日志公钥在旧公钥停止签署之前即被更换。'],
  ['The replacements of the log’s key do not lead to the key that signed.', '日志公钥的更换未能通向签署所用的公钥。'],
  ['The replacements of the log’s key are not in order.', '日志公钥的更换次序有误。'],
  ['The log is none of those trusted.', '该日志不在您信任之列。'],
  ['The checkpoint is malformed.', '检查点格式有误。'],
  ['The checkpoint is forged.', '检查点系伪造。'],
  ['The checkpoint is unsigned.', '检查点没有该日志的签名。'],
  ['The log did not sign the checkpoint.', '日志未签署该检查点。'],
  ['The checkpoint carries a signature of an unknown key.', '检查点带有未知公钥的签名。'],
  ['It names a witness that did not cosign.', '所列见证方并未联署。'],
  ['The checkpoint is of another log.', '检查点属于另一份日志。'],
  ['Those who cosigned are not all whom the policy demands.', '联署方不满足您的信任策略。'],
  ['A witness’s key is not one for cosignatures.', '见证方公钥无效。'],
  ['A salt is not 32 bytes.', '盐值不是 32 字节。'],
  ['Two pieces claim one place in the log.', '两项内容声称占据日志中的同一位置。'],
  ['A hash of the proof is not base64.', '证明中的哈希值不是 base64。'],
  ['A hash of the proof is not 32 bytes.', '证明中的哈希值不是 32 字节。'],
  ['The log does not hold this: the proof does not lead to the signed root.', '日志中没有此内容：证明不能导出已签名的根。'],
  ['{0} is not the one in the log: its digest differs.', '{0} 与日志中的不同：摘要不一致。'],
  ['The AuditEvent is not JSON.', '审计事件不是 JSON。'],
  ['The AuditEvent is none.', '审计事件无效。'],
  ['The AuditEvent’s log entry is of something else.', '审计事件的日志条目属于其他事项。'],
  ['A key’s registration is not JSON.', '公钥登记不是 JSON。'],
  ['A key’s registration is none.', '公钥登记无效。'],
  ['A key’s log entry is of something else.', '公钥的日志条目属于其他事项。'],
  ['A Consent is not JSON.', '知情同意不是 JSON。'],
  ['A Consent is none.', '知情同意无效。'],
  ['A Consent’s log entry is of something else.', '知情同意的日志条目属于其他事项。'],
  ['A Consent comes without the terms that were signed.', '知情同意缺少已签名的条款。'],
  ['The terms are not those of a consent statement.', '条款不是知情同意声明的条款。'],
  ['The terms of {0} are not those in the log.', '{0} 的条款与日志中的不同。'],
  ['A signature that came with the log entry of {0} is missing.', '缺少随 {0} 记入日志的一个签名。'],
  ['A signature is not a detached JWS.', '签名不是分离式 JWS。'],
  ['A signature is not an assertion in its one spelling.', '签名不是规定写法的通行密钥断言。'],
  ['The terms do not say on whose pages they were signed.', '条款没有说明是在哪个网站的页面上签名的。'],
  ['The key of {0} is a passkey, which makes no such signature.', '{0} 的公钥是通行密钥，不会产生这种签名。'],
  ['Two keys in it claim one passkey.', '其中两个公钥声称是同一个通行密钥。'],
  ['A signature is by a key whose registration is missing.', '签名所用的公钥缺少登记。'],
  ['The signature of {0} does not hold for these terms.', '{0} 的签名对这些条款不成立。'],
  ['{0} may not sign {1}.', '{0} 无权签署 {1}。'],
  ['The key of {0} was registered after {1} was logged.', '{0} 的公钥在 {1} 记入日志之后才登记。'],
  ['No signature of the patient of {0}.', '{0} 没有患者的签名。'],
  ['It holds a key twice.', '同一公钥出现两次。'],
  ['It holds a key that signed nothing in it.', '含有未签署任何内容的公钥。'],
  ['The Consents in it are not those the AuditEvent names as its basis.', '所含的知情同意不是审计事件所列的依据。'],
  ['The root of the map of Consents is of something else.', '知情同意映射的根属于其他事项。'],
  ['The root of the map of Consents is not the one in the log: its digest differs.', '知情同意映射的根与日志中的不同：摘要不一致。'],
  ['The map of Consents does not speak of every Consent in it.', '知情同意映射没有涵盖其中每一份知情同意。'],
  ['The map of Consents is older than {0}.', '知情同意映射早于 {0}。'],
  ['The map of Consents does not show what it is said to show of {0}.', '知情同意映射并未显示所称的关于 {0} 的内容。'],
  ['What took the place of {0} is told otherwise by the map of Consents.', '关于取代 {0} 的条目，知情同意映射所示不同。'],
  ['What took the place of {0} cannot stand where it is said to stand.', '取代 {0} 的条目不可能在所称的位置。'],
  ['{0} had been replaced or withdrawn before what rests on it.', '在依据它的事项之前，{0} 已被取代或撤回。'],
  ['It shows no Consent.', '其中没有知情同意。'],
  ['It does not show how its Consents stand: it holds no root of the map of Consents.', '未显示其知情同意是否仍然有效：其中没有知情同意映射的根。'],
  ['It shows how its Consents stood at {0}, and not later.', '只显示其知情同意在 {0} 的状态，而非之后。'],
  ['{0} was not in force then.', '{0} 当时并非有效。'],
  ['{0} was not active.', '{0} 并非有效状态。'],
  ['{0} was logged after what rests on it.', '{0} 在依据它的事项之后才记入日志。'],
  ['The key of an aggregate is not a verifier key.', '汇总日志的公钥不是验证公钥。'],
  ['The aggregate’s checkpoint is none, or not signed by it.', '汇总日志的检查点无效，或并非由其签名。'],
  ['The aggregate’s checkpoint says something unknown.', '汇总日志的检查点含有未知内容。'],
  ['What is in the aggregate is no checkpoint that this log signed.', '汇总日志中的内容不是此日志签署的检查点。'],
  ['The aggregate does not hold this checkpoint: the proof does not lead to its root.', '汇总日志未收录该检查点：证明不能得出其根。'],
  ['The time-stamp is not the one that the aggregate’s checkpoint names.', '时间戳不是汇总日志的检查点所指的那一个。'],
  ['The checkpoint in the aggregate is of another history of this log.', '汇总日志中的检查点属于此日志的另一份历史。'],
  ['The checkpoint in the aggregate is older than what is to be proven.', '汇总日志中的检查点早于所要证明的内容。'],
  ['What is anchored is of another history of this log.', '所锚定的内容属于此日志的另一份历史。'],
  ['What is anchored is older than what is to be proven.', '所锚定的内容早于所要证明的内容。'],
  ['Where the log is anchored is not told in its own name.', '关于此日志锚定于何处的说明并非由其签名。'],
  ['The time-stamp is not the one that the log names.', '时间戳不是此日志所指的那一个。'],
  ['It is not anchored in each place that the policy demands.', '它未锚定于您的信任策略所要求的每一处。'],
  ['No aggregate that you know holds it.', '您所知的汇总日志均未收录它。'],
  ['Its log entry is of something else than an erasure.', '日志条目不是删除。'],
  ['The entries it names are not those in the log: the digest differs.', '所列条目与日志中的不同：摘要不一致。'],
  ['It names an entry that was logged after it.', '所列条目的位置在其之后。'],
];

const escaped = (text: string): string => text.replace(/[.*+?^$()[\]\\|]/g, '\\$&');

const patterns = sentences.map(([english, chinese]) => ({
  pattern: new RegExp(
    `^${english
      .split(/\{\d\}/)
      .map(escaped)
      .join('([^]+?)')}$`,
  ),
  chinese,
}));

const words: readonly Row[] = [
  [' acts', ' 项行为'],
  [' act', ' 项行为'],
  [' disclosures', ' 次披露'],
  [' disclosure', ' 次披露'],
  [' refusals', ' 次拒绝'],
  [' refusal', ' 次拒绝'],
  [' writes', ' 次写入'],
  [' write', ' 次写入'],
  [' broken glasses', ' 次紧急访问'],
  [' broken glass', ' 次紧急访问'],
  [' about Consents and keys', ' 条关于知情同意和公钥'],
  [' erased', ' 条已删除'],
  ['(patient, key ', '（患者，公钥 '],
  ['(custodian, key ', '（记录保管方，公钥 '],
  [') and ', '）与 '],
];

/** Undefined: it has no translation. */
export function inChinese(english: string): string | undefined {
  for (const { pattern, chinese } of patterns) {
    const found = pattern.exec(english);
    if (found) return chinese.replace(/\{(\d)\}/g, (_, number: string) => wordsOf(found[Number(number) + 1] ?? ''));
  }
  return undefined;
}

function wordsOf(text: string): string {
  const signed = words.reduce((all, [english, chinese]) => all.replaceAll(english, chinese), text);
  return signed === text ? text : signed.replace(/\)$/, '）');
}
